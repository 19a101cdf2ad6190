package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/lease"
)

type releaseIDOptions struct {
	idsOptions
	id    int
	owner string
	yes   bool
	stdin io.Reader
}

func (c *cli) nodeIDRelease() *cobra.Command {
	var o releaseIDOptions
	cmd := &cobra.Command{
		Use:   "release [--id N --of INSTANCE]",
		Short: "give the id of this machine back, or free that of an instance that is dead",
		Long: "Stop the app of this machine and give its id back: the next instance need not wait for the end of\n" +
			"the lease. The app stays down until the next boot or sync.\n" +
			"With --id and --of, free an id at your word that the instance that holds it is dead, or its app\n" +
			"stopped. It can be given again at once, and the app of the next instance still waits for the end\n" +
			"of that lease: no id is used twice, also where the instance is alive after all. That one stops its\n" +
			"app when it would renew the id." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Metadata, failure.Credentials, failure.Resolve, failure.Fetch, failure.Disk, failure.Activate,
				failure.NodeID, failure.Locked, failure.Interrupted),
		Example: "  koboshi node-id release\n  koboshi node-id release --id 7 --of i-0123456789abcdef0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.stdin = cmd.InOrStdin()
			switch dead := given(cmd, []string{"id", "of"}); {
			case len(dead) == 2:
				return c.runNodeIDRelease(cmd.Context(), o)
			case len(dead) == 1:
				return usage(errors.New("--id and --of go together"))
			case o.table != "" || o.scope != "":
				return usage(errors.New("--table and --scope go with --id and --of"))
			}
			return c.runNodeIDReleaseHere(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.id, "id", 0, "the id, a `number`")
	cmd.Flags().StringVar(&o.owner, "of", "", "the `instance` that holds it, as koboshi node-id list has it")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return o.addTable(cmd)
}

// runNodeIDReleaseHere gives the id of this machine back.
func (c *cli) runNodeIDReleaseHere(ctx context.Context, o releaseIDOptions) error {
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	if !a.Files.NodeID.On() {
		return c.noNodeIDs(a.Files)
	}
	v, err := a.NodeID(ctx)
	if err != nil {
		return err
	}
	if !o.yes {
		question := fmt.Sprintf("the app %s is stopped until the next boot or sync, and id %d of %s given back; go on?", a.Files.App, v.NodeID, v.Scope)
		if err := c.ui.agreed(ctx, o.stdin, question); err != nil {
			return err
		}
	}
	return c.runAgent(ctx, o.json, (*agent.Agent).ReleaseNodeID)
}

// runNodeIDRelease frees the id of an instance that is dead.
func (c *cli) runNodeIDRelease(ctx context.Context, o releaseIDOptions) error {
	s, err := c.scopeOf(o.idsOptions)
	if err != nil {
		return err
	}
	if o.id < 0 || o.id > lease.MaxID {
		return usage(fmt.Errorf("--id %d, want 0 to %d", o.id, lease.MaxID))
	}
	t, err := openIDs(ctx, s)
	if err != nil {
		return err
	}
	seen, err := t.Get(ctx, o.id)
	if err != nil {
		return ofTable(fmt.Errorf("read id %d of %s in %s: %w", o.id, s.Scope, t, err))
	}
	now := time.Now()
	if _, err := seen.Freed(o.owner, now); err != nil {
		return o.refused(s, err)
	}
	if err := c.confirmRelease(ctx, o, judgeID(seen, now)); err != nil {
		return err
	}
	ignoreSIGPIPE()
	freed, err := lease.FreeDead(ctx, t, seen, o.owner, now)
	if err != nil {
		return o.refused(s, err)
	}
	return c.showFreed(o, s, freed, now)
}

// confirmRelease asks about the id as it was read, which is what is freed.
func (c *cli) confirmRelease(ctx context.Context, o releaseIDOptions, row idJSON) error {
	if o.yes {
		return nil
	}
	return c.ui.agreed(ctx, o.stdin, fmt.Sprintf("id %d is %s by %s since %s (%s); is that instance dead, or its app stopped?",
		row.ID, row.State, row.Owner, timeText(row.Since), row.Why))
}

// refused is why an id is not released.
func (o releaseIDOptions) refused(s scope, err error) error {
	return ofTable(fmt.Errorf("release id %d of %s: %w", o.id, s.Scope, err))
}

func (c *cli) showFreed(o releaseIDOptions, s scope, freed lease.Item, now time.Time) error {
	row := judgeID(lease.Stored{ID: freed.ID, Exists: true, Item: &freed}, now)
	if o.json {
		return c.ui.printJSON(row)
	}
	c.ui.printf("id %d of %s is free: %s\n", freed.ID, s.Scope, cmp.Or(row.Why, "the next holder need not wait"))
	return nil
}

// agreed asks a person at a terminal. That the answer is no is an error.
func (u *ui) agreed(ctx context.Context, stdin io.Reader, question string) error {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return failure.WithHint(usage(errors.New("there is no terminal to ask at")), "give --yes if you are sure")
	}
	u.clear()
	_, _ = fmt.Fprintf(u.err, "koboshi: %s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(f).ReadString('\n') // no answer is none
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
	}
	return failure.Mark(errors.New("nothing was released: the answer was not yes"), failure.ErrFound)
}
