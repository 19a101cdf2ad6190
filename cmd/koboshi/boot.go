package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/systemd"
)

func (c *cli) boot() *cobra.Command {
	return &cobra.Command{
		Use:   "boot",
		Short: "bring this instance into service with the release of its channel",
		Long: "Walk the whole boot, as systemd does on every launch and reboot: discover, configure,\n" +
			"resolve, install, activate, gate, recheck, signal. At launch the lifecycle action is completed\n" +
			"with CONTINUE or ABANDON; after a reboot the release that ran before is started first." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Metadata, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity, failure.Archive,
				failure.Disk, failure.Activate, failure.Unhealthy, failure.Lifecycle, failure.Locked, failure.Deadline, failure.Internal, failure.Interrupted),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runAgent(cmd.Context(), false, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				longer, stop := keepSystemdWaiting(time.Duration(a.Files.Lifecycle.Deadline) + grace)
				defer stop()
				tell := a.Waits
				a.Waits = func(step string, d time.Duration) { longer(d); tell(step, d) }
				return a.Boot(ctx)
			})
		},
	}
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
// stop is called, or for the limit. longer begins the limit anew, after so much.
func keepSystemdWaiting(limit time.Duration) (longer func(time.Duration), stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	end := time.AfterFunc(limit, cancel)
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
	return func(d time.Duration) { end.Reset(d + limit) }, func() { end.Stop(); cancel() }
}
