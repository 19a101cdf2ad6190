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
		Use:   "release --id N --of INSTANCE",
		Short: "free the id of an instance that is dead",
		Long: "Free an id at your word that the instance that holds it is dead, or its app stopped. It can be\n" +
			"given again at once, and the app of the next instance still waits for the end of its lease: no id\n" +
			"is used twice, also where the instance is alive after all. That one stops its app when it would\n" +
			"renew the id." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Fetch, failure.NodeID, failure.Interrupted),
		Example: "  koboshi node-id release --id 7 --of i-0123456789abcdef0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.stdin = cmd.InOrStdin()
			return c.runNodeIDRelease(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.id, "id", 0, "the id, a `number`")
	cmd.Flags().StringVar(&o.owner, "of", "", "the `instance` that holds it, as koboshi node-id list has it")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	return required(o.addTable(cmd), "id", "of")
}

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
		return fmt.Errorf("read id %d of %s in %s: %w", o.id, s.Scope, t, err)
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
	return fmt.Errorf("release id %d of %s: %w", o.id, s.Scope, err)
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
