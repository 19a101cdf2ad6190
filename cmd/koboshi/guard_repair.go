package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/guard"
)

func (c *cli) guardRepair() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "repair --source S --app A --group G",
		Short: "put back what a holder has left that is dead",
		Long: "Resume what a guard has suspended whose holder is dead: no sooner than a minute after its lease has\n" +
			"ended, or at once with --force. It prints each process that it resumes, and each that it leaves\n" +
			"alone and why. That there is nothing to repair is no error." + guardExits(failure.Lifecycle, failure.Locked),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRestored(cmd.Context(), f, func(ctx context.Context, g *agent.Guard) ([]agent.GroupRestored, error) {
				return g.Repair(ctx, f.force)
			})
		},
	}
	cmd.Flags().BoolVar(&f.force, "force", false, "do not wait for the lease to end: its holder is known to be dead, or has to end its command")
	return f.add(cmd)
}

func (c *cli) withRestored(ctx context.Context, f guardFlags, do func(context.Context, *agent.Guard) ([]agent.GroupRestored, error)) error {
	g, err := c.newGuard(ctx, f, c.lines(f))
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	restored, err := do(ctx, g)
	for _, r := range restored {
		if f.json {
			err = errors.Join(err, c.ui.printJSON(restoredOf(r)))
		}
	}
	return err
}

func restoredOf(r agent.GroupRestored) agent.GroupRestored {
	r.Left = append([]guard.Left{}, r.Left...)
	return r
}
