package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"koboshi/agent/guard"
)

func (c *cli) guardStatus() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "status --source S --app A [--group G]",
		Short: "show who holds which group",
		Long:  "Show who holds which group, why and until when, and what was suspended; without --group of all groups." + guardExits(),
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.runGuardStatus(cmd.Context(), f) },
	}
	f.add(cmd)
	delete(cmd.Flag("group").Annotations, cobra.BashCompOneRequiredFlag)
	return cmd
}

// statusJSON is a group in the output of status.
type guardStatusJSON struct {
	guard.Record
	Over bool `json:"lease_over"` // held by someone whose lease has ended
}

func (c *cli) runGuardStatus(ctx context.Context, f guardFlags) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	all, err := g.Status(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		r := s.Record
		held := &guard.HeldError{Record: r, Now: s.Now}
		switch {
		case f.json:
			if err := c.ui.printJSON(guardStatusJSON{r, r.State == guard.Held && held.Over()}); err != nil {
				return err
			}
		case r.State == guard.Held:
			c.ui.printf("%s\n", held)
			for _, p := range slices.Sorted(maps.Keys(r.Ours)) {
				c.ui.printf("%s: %s: suspended by the guard: %s\n", r.Group, p, r.Ours[p])
			}
			for _, p := range slices.Sorted(maps.Keys(r.Before)) {
				c.ui.printf("%s: %s: suspended by someone else: %s\n", r.Group, p, r.Before[p])
			}
		default:
			c.ui.printf("group %s is free, last fence %d\n", r.Group, r.Fence)
		}
	}
	if len(all) == 0 && !f.json {
		c.ui.say("no group of %s was guarded yet", f.app)
	}
	return nil
}
