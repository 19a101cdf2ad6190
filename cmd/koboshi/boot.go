package main

import (
	"context"
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
				failure.Disk, failure.Activate, failure.Unhealthy, failure.Lifecycle, failure.NodeID, failure.Locked, failure.Deadline, failure.Internal, failure.Interrupted),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runAgent(cmd.Context(), false, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				a.By = "" // started by the machine, not by a person
				defer keepAlive(a)()
				return a.Boot(ctx)
			})
		},
	}
}

// keepAlive keeps systemd from ending the run for as long as it may take.
func keepAlive(a *agent.Agent) (stop func()) {
	longer, stop := systemd.Notifier{}.KeepAlive(time.Duration(a.Files.Lifecycle.Deadline+a.Files.Notify.Timeout) + grace)
	tell := a.Waits
	a.Waits = func(step string, d time.Duration) { longer(d); tell(step, d) }
	return stop
}

// grace is how long a run may go on after its deadline: completing the
// lifecycle action, and pruning.
const grace = 3 * time.Minute
