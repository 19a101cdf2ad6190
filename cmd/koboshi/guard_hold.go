package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/group"
)

func (c *cli) guardAcquire() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "acquire --source S --app A --group G",
		Short: "keep a group still until it is released: for pipelines of several steps",
		Long: "Take the lock of the groups, wait until they are quiet, suspend their processes, and print the\n" +
			"fence that release and renew ask for. A lease that is not renewed ends; then koboshi guard repair,\n" +
			"by anyone, puts the groups back." + guardExits(failure.Found, failure.Lifecycle, failure.Locked, failure.Deadline),
		Example: "  fence=$(koboshi guard acquire --source s3://acme-releases/apps --app web --group web --lease 2h --reason 'deploy 1.5.0')",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withHeld(cmd.Context(), f, true, func(ctx context.Context, g *agent.Guard) ([]agent.GroupHeld, error) { return g.Acquire(ctx) })
		},
	}
	f.addHolding(cmd, leaseOfAcquire)
	return f.add(cmd)
}

func (c *cli) guardRenew() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "renew --source S --app A --group G --fence N",
		Short: "extend the lease of a group that was acquired",
		Long:  "Extend the lease of groups that koboshi guard acquire has taken, by its fence." + guardExits(failure.Locked, failure.Deadline),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withHeld(cmd.Context(), f, false, func(ctx context.Context, g *agent.Guard) ([]agent.GroupHeld, error) { return g.Renew(ctx, f.fence) })
		},
	}
	cmd.Flags().Int64Var(&f.fence, "fence", 0, "the `number` that acquire has printed")
	cmd.Flags().DurationVar(&f.lease, "lease", leaseOfAcquire, "`time` from now on")
	return required(f.add(cmd), "fence")
}

// heldJSON is a group in the output of acquire, renew and run.
type heldJSON struct {
	Group     string          `json:"group"`
	Fence     int64           `json:"fence"`
	Until     time.Time       `json:"lease_until"`
	Suspended []group.Process `json:"suspended"`
	Before    []group.Process `json:"before"` // by others
}

func heldOf(h agent.GroupHeld) heldJSON {
	return heldJSON{h.Group, h.Fence, h.Until, append([]group.Process{}, h.Suspended...), append([]group.Process{}, h.Before...)}
}

func (c *cli) withHeld(ctx context.Context, f guardFlags, printFence bool, do func(context.Context, *agent.Guard) ([]agent.GroupHeld, error)) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	c.warnOfLaunch(g)
	ignoreSIGPIPE()
	held, err := do(ctx, g)
	if err != nil {
		return err
	}
	for n, h := range held {
		switch {
		case f.json:
			if err := c.ui.printJSON(heldOf(h)); err != nil {
				return err
			}
		case printFence && n == 0: // the same for all
			c.ui.printf("%d\n", h.Fence)
		case !printFence:
			c.ui.printf("%s: held until %s\n", h.Group, h.Until.Format(time.RFC3339))
		}
	}
	return nil
}

func (c *cli) warnOfLaunch(g *agent.Guard) {
	if slices.Contains(g.Suspend, group.Launch) {
		c.ui.warn("without Launch nothing is replaced, and all that is missing is launched at once afterwards")
	}
	if slices.Contains(g.Suspend, group.Terminate) {
		c.ui.warn("without Terminate the group may grow to 10 % above its maximum")
	}
}

func (c *cli) guardRelease() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "release --source S --app A --group G --fence N",
		Short: "put a group back that was acquired",
		Long: "Resume what koboshi guard acquire has suspended, by its fence, and release the lock. What others\n" +
			"have suspended stays as it is. A group that is released already is no error." + guardExits(failure.Lifecycle, failure.Locked),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRestored(cmd.Context(), f, func(ctx context.Context, g *agent.Guard) ([]agent.GroupRestored, error) {
				return g.Release(ctx, f.fence)
			})
		},
	}
	cmd.Flags().Int64Var(&f.fence, "fence", 0, "the `number` that acquire has printed")
	return required(f.add(cmd), "fence")
}
