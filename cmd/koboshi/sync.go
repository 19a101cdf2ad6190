package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
)

type syncOptions struct {
	agent.SyncOptions
	dryRun, json bool
}

func (c *cli) sync() *cobra.Command {
	var o syncOptions
	var rate config.Rate
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "install what the channel points to on this live instance",
		Long: "Bring a live instance to the release that its channel points to. No lifecycle action is\n" +
			"completed, and whatever fails, a release keeps running: the new one or the previous one." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Metadata, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity, failure.Archive,
				failure.Disk, failure.Activate, failure.Unhealthy, failure.NodeID, failure.Locked, failure.Deadline, failure.Internal, failure.Interrupted),
		Example: "  koboshi sync\n  koboshi sync --dry-run\n  koboshi sync --version 1.4.1   # until the next sync; hold to stay",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("max-rate") {
				o.MaxRate = &rate
			}
			return c.runSync(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Wait, "wait", false, "wait for another run to end instead of exiting with 23")
	cmd.Flags().BoolVar(&o.Spread, "spread", false, "first wait for this instance's part of what promote --spread asks for")
	cmd.Flags().BoolVar(&o.IfNew, "if-new", false, "as a timer does: end at once, without a report, where there is nothing to do or it failed here before")
	cmd.Flags().StringVar(&o.Version, "version", "", "install this `version` instead of the channel's, for this run")
	cmd.Flags().BoolVar(&o.Force, "force", false, "hash what is installed, repair it, and restart the app")
	cmd.Flags().TextVar(&rate, "max-rate", rate, "download at most so many `bytes` a second, such as 20MiB; 0 = no limit, whatever install.max_rate is")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "report what would change, and change nothing")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the report, or the plan, as JSON")
	excludes(cmd, "if-new", "version", "force", "dry-run")
	return cmd
}

func (c *cli) runSync(ctx context.Context, o syncOptions) error {
	if o.Version != "" {
		if err := artifacts.CheckVersion(o.Version); err != nil {
			return usage(fmt.Errorf("--version: %w", err))
		}
	}
	if o.dryRun {
		return c.runPlan(ctx, o)
	}
	return c.runAgent(ctx, o.json, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		defer keepAlive(a)()
		return a.Sync(ctx, o.SyncOptions)
	})
}

// planJSON is the output of sync --dry-run --json.
type planJSON struct {
	Release   *report.Release `json:"release"`
	Target    *report.Release `json:"target"`
	Rollout   *report.Rollout `json:"rollout,omitzero"`
	Held      string          `json:"held,omitzero"`
	Fetch     int64           `json:"fetch_bytes"`
	DeltaFrom string          `json:"delta_from,omitzero"`
	Added     []string        `json:"added"`
	Altered   []string        `json:"altered"`
	Removed   []string        `json:"removed"`
	Unknown   bool            `json:"files_unknown,omitzero"`
}

func (c *cli) runPlan(ctx context.Context, o syncOptions) error {
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	p, err := a.Plan(ctx, o.SyncOptions)
	if err != nil {
		return err
	}
	if o.json {
		return c.ui.printJSON(planJSON{p.Release, p.Target, p.Rollout, p.Held, p.Fetch, p.DeltaFrom, p.Files.Added, p.Files.Altered, p.Files.Removed, p.Unknown})
	}
	c.ui.plan(a.Files.App, p)
	return nil
}

// plan prints in a few lines what a sync would do.
func (u *ui) plan(app string, p agent.Plan) {
	if p.Rollout != nil {
		u.printf("rollout of %s\n", p.Rollout)
	}
	if p.Held != "" {
		u.printf("%s would not change: held (%s)\n", app, p.Held)
		return
	}
	if p.Release != nil && p.Release.ManifestSHA256 == p.Target.ManifestSHA256 {
		u.printf("%s %s is current already, nothing would change\n", app, p.Target.Version)
		return
	}
	from := "nothing"
	if p.Release != nil {
		from = p.Release.Version
	}
	how := ""
	if p.DeltaFrom != "" {
		how = ", a delta update from " + p.DeltaFrom
	}
	u.printf("%s %s -> %s, %s to fetch%s\n", app, from, p.Target.Version, report.Bytes(p.Fetch), how)
	if p.Unknown {
		u.printf("the release has no index: which files differ is unknown\n")
		return
	}
	u.printf("%s added, %d altered, %d removed\n", count(len(p.Files.Added), "file", "files"), len(p.Files.Altered), len(p.Files.Removed))
	u.listFiles(p.Files)
}

// runAgent runs one command of the agent and prints how it ended.
func (c *cli) runAgent(ctx context.Context, asJSON bool, do func(*agent.Agent, context.Context) (report.Report, error)) error {
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	rep, err := do(a, ctx)
	for _, w := range rep.Warnings {
		c.ui.warn(w)
	}
	if err == nil && rep.Verdict == report.Stale && rep.Error != nil { // else it is printed as the error
		c.ui.appLines(rep.Error)
		c.ui.warn(rep.Error.Message)
	}
	c.ui.summary(rep)
	if asJSON {
		err = errors.Join(err, c.ui.printJSON(rep))
	}
	return err
}
