package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
)

type holdOptions struct {
	reason string
	until  untilFlag
	json   bool
}

func (o *holdOptions) add(cmd *cobra.Command, reason string) *cobra.Command {
	cmd.Flags().StringVar(&o.reason, "reason", reason, "why, for others who look at the instance")
	cmd.Flags().Var(&o.until, "until", "a duration from now, or a date or time: `WHEN` is 2h, 18:00, 2026-11-29 or 2026-11-29T18:00; default: until koboshi unhold")
	return cmd
}

func (o *holdOptions) hold() state.Hold {
	return state.Hold{Reason: report.Clean(o.reason, maxReason), By: whoami(), Until: o.until.at}
}

// maxReason bounds a hold's reason, in bytes.
const maxReason = 200

// whoami is the user who ran sudo, or else the user.
func whoami() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// operator is whoami for a command of a person; "" for one that systemd started.
func operator() string {
	if os.Getenv("INVOCATION_ID") != "" && os.Getenv("SUDO_USER") == "" {
		return ""
	}
	return whoami()
}

func (c *cli) rollback() *cobra.Command {
	var o holdOptions
	var version string
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "go back to the previous release, and hold there",
		Long: "Run the previous release again, through the same gate as any other. Its tree is hashed first,\n" +
			"and fetched again if it was altered. The instance is then held: koboshi unhold lets it\n" +
			"follow its channel again. Until then a second rollback goes back one more. To roll a fleet\n" +
			"back, promote the older version." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Metadata, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity, failure.Archive,
				failure.Disk, failure.Activate, failure.Unhealthy, failure.NodeID, failure.Locked, failure.Deadline, failure.Internal, failure.Interrupted),
		Example: "  koboshi rollback --reason 'checkout is slow' --until 4h\n  koboshi rollback --version 1.4.1",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version != "" {
				if err := artifacts.CheckVersion(version); err != nil {
					return usage(fmt.Errorf("--version: %w", err))
				}
			}
			return c.runAgent(cmd.Context(), o.json, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				return a.Rollback(ctx, agent.RollbackOptions{Hold: o.hold(), Version: version})
			})
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "go back to this `version`; it is fetched where it is not installed")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the report as JSON")
	return o.add(cmd, "rolled back")
}

func (c *cli) hold() *cobra.Command {
	var o holdOptions
	cmd := &cobra.Command{
		Use:   "hold --reason WHY",
		Short: "keep this instance at its current release",
		Long: "Keep this instance at its current release, whatever its channel points to. A hold counts\n" +
			"for sync and for boots after a reboot, never at launch. The tag koboshi:hold does the same." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Resolve, failure.Disk, failure.Locked),
		Example: "  koboshi hold --reason 'incident 7' --until 2h\n  koboshi hold --reason 'release freeze' --until 2026-11-29T18:00",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hold := o.hold()
			if err := c.setHold(cmd.Context(), &hold); err != nil {
				return err
			}
			c.ui.printf("held%s: %s\n", untilText(hold.Until), hold.Reason)
			return nil
		},
	}
	return required(o.add(cmd, ""), "reason")
}

func (c *cli) unhold() *cobra.Command {
	return &cobra.Command{
		Use:     "unhold",
		Short:   "let this instance follow its channel again",
		Long:    "End a hold. The next sync or boot follows the channel; a tag koboshi:hold still counts." + exits(failure.OK, failure.Usage, failure.Configuration, failure.Resolve, failure.Disk, failure.Locked),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.setHold(cmd.Context(), nil); err != nil {
				return err
			}
			c.ui.printf("not held\n")
			return nil
		},
	}
}

func (c *cli) setHold(ctx context.Context, hold *state.Hold) error {
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	return a.Hold(ctx, hold)
}

func untilText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.Format(time.RFC3339)
}
