package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/status"
	"koboshi/systemd"
)

func (c *cli) boot() *cobra.Command {
	return &cobra.Command{
		Use:   "boot",
		Short: "bring this instance into service with the release its channel names",
		Long: "Walk the whole boot, as systemd does on every launch and reboot: discover, configure,\n" +
			"resolve, install, activate, gate, recheck, signal. At launch the lifecycle hook is told\n" +
			"CONTINUE or ABANDON; after a reboot what served before is started first." +
			exits(ok, badUsage, badConfig, noMetadata, noRole, notResolved, notTrusted, notFetched, notIntact, badArchive,
				diskFailed, notStarted, unhealthy, hookUntold, isLocked, tooLate, bug, interrupted),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runAgent(cmd.Context(), false, func(a *agent.Agent, ctx context.Context) (status.Report, error) {
				defer keepSystemdWaiting(ctx, time.Duration(a.Files.Lifecycle.Deadline)+grace)()
				return a.Boot(ctx)
			})
		},
	}
}

func (c *cli) sync() *cobra.Command {
	var o agent.SyncOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "converge this live instance to its channel",
		Long: "Bring a live instance to the release that its channel names. No hook is signalled, and\n" +
			"whatever fails, a release keeps serving: the new one, or the one that served before." +
			exits(ok, badUsage, badConfig, noMetadata, noRole, notResolved, notTrusted, notFetched, notIntact, badArchive,
				diskFailed, notStarted, unhealthy, isLocked, tooLate, bug, interrupted),
		Example: "  koboshi sync\n  koboshi sync --wait --json",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runAgent(cmd.Context(), asJSON, func(a *agent.Agent, ctx context.Context) (status.Report, error) {
				return a.Sync(ctx, o)
			})
		},
	}
	cmd.Flags().BoolVar(&o.Wait, "wait", false, "wait for another run to end instead of exiting with 23")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// How systemd is kept from giving up on a long boot. Each message buys another
// window, and they end some time after the boot's own deadline: an agent that
// hangs for longer is systemd's to kill.
const (
	proofOfLife = 15 * time.Second
	window      = time.Minute
	grace       = 3 * time.Minute // the last call to the hook, and pruning
)

// keepSystemdWaiting extends the start timeout and feeds the watchdog until
// stop is called, or for the limit.
func keepSystemdWaiting(ctx context.Context, limit time.Duration) (stop func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	go func() {
		tick := time.NewTicker(proofOfLife)
		defer tick.Stop()
		for {
			var systemd systemd.Notifier
			_ = errors.Join(systemd.ExtendTimeout(window), systemd.Watchdog()) // without systemd nobody wants to know
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return cancel
}

// runAgent runs one command of the agent and tells how it ended.
func (c *cli) runAgent(ctx context.Context, asJSON bool, do func(*agent.Agent, context.Context) (status.Report, error)) error {
	a, done, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	defer done()
	report, err := do(a, ctx)
	for _, w := range report.Warnings {
		c.ui.warn(w)
	}
	if report.Verdict == status.Stale && report.Error != nil {
		c.ui.warn(report.Error.Message)
	}
	c.ui.summary(report)
	if asJSON {
		err = errors.Join(err, c.ui.printJSON(report))
	}
	return err
}
