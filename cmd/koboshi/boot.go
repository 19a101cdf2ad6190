package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/status"
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
			return c.runAgent(cmd.Context(), false, (*agent.Agent).Boot)
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
