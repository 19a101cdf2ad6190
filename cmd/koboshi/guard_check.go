package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/guard"
)

func (c *cli) guardCheck() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "check --source S --app A --group G",
		Short: "find out whether a group is safe to deploy to",
		Long: "Look for reasons for which a deploy would meet a group in change: one line a reason, and exit code\n" +
			"1 where there is one. With --wait it waits until there is none, unless waiting does not help." + guardExits(failure.Found),
		Example: "  koboshi guard check --source s3://acme-releases/apps --app web --group web --codedeploy shop/web-blue-green",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runGuardCheck(cmd.Context(), f) },
	}
	f.addLooking(cmd, 0)
	return f.add(cmd)
}

func (c *cli) runGuardCheck(ctx context.Context, f guardFlags) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	all, err := g.Check(ctx)
	if err != nil {
		return err
	}
	var unsafe []string
	for _, found := range all {
		if !found.Safe {
			unsafe = append(unsafe, found.Group)
		}
		if f.json {
			if err := c.ui.printJSON(found); err != nil {
				return err
			}
			continue
		}
		c.ui.reasons(found)
	}
	if len(unsafe) > 0 {
		return failure.WithHint(failure.Mark(fmt.Errorf("not safe to deploy to: %s", strings.Join(unsafe, ", ")), failure.ErrFound),
			guard.Unsafe(all).Advice())
	}
	return nil
}

// reasons prints one line a reason.
func (u *ui) reasons(found guard.GroupReasons) {
	if found.Safe {
		u.printf("%s: safe\n", found.Group)
	}
	for _, r := range found.Reasons {
		since := ""
		if !r.Since.IsZero() {
			since = ", since " + r.Since.Format(time.RFC3339)
		}
		u.printf("%s: %s: %s%s\n", found.Group, r.Code, r.Text, since)
	}
}
