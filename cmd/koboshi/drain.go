package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/drain"
	"koboshi/agent/failure"
	"koboshi/agent/report"
)

type drainOptions struct {
	dryRun, noComplete, json, undo bool
	reason                         string
}

func (c *cli) drain() *cobra.Command {
	var o drainOptions
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "take the app out of service, with its logs delivered",
		Long: "Take the app out of service: let go by the load balancers, stopped, its logs delivered, and\n" +
			"where the group ends the instance, the lifecycle action completed. koboshi watch does this by\n" +
			"itself; a drain that it has begun is gone on with. Afterwards nothing starts the app but a reboot\n" +
			"or --undo, which ends as koboshi sync does." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Metadata, failure.Credentials, failure.Disk, failure.Activate,
				failure.Lifecycle, failure.NodeID, failure.Locked, failure.Deadline, failure.Internal, failure.Interrupted),
		Example: "  koboshi drain --dry-run\n  koboshi drain --reason 'kernel update'\n  koboshi drain --undo",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runDrain(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "report what would be done and how far each log shipper is, and change nothing")
	cmd.Flags().BoolVar(&o.noComplete, "no-complete", false, "do not complete the lifecycle action")
	cmd.Flags().StringVar(&o.reason, "reason", "", "`why`, for status and history")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "bring the app back, by the same gate as any start")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the report, or what would be done, as JSON")
	excludes(cmd, "undo", "dry-run", "no-complete", "reason")
	return cmd
}

func (c *cli) runDrain(ctx context.Context, o drainOptions) error {
	if o.undo {
		return c.runAgent(ctx, o.json, (*agent.Agent).Undo)
	}
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	n, err := a.Notice(ctx, impatient())
	if err != nil {
		return err
	}
	options := agent.DrainOptions{Notice: n, Why: o.reason, NoComplete: o.noComplete}
	if o.dryRun {
		return c.runDrainPlan(ctx, a, options, o.json)
	}
	return c.runAgent(ctx, o.json, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		rep, err := a.Drain(ctx, options)
		if errors.Is(err, drain.ErrWithdrawn) {
			err = nil
		}
		return rep, err
	})
}

// drainJSON is the output of drain --dry-run --json.
type drainJSON struct {
	agent.DrainPlan
	DeadlineSeconds int64 `json:"deadline_seconds"`
}

func (c *cli) runDrainPlan(ctx context.Context, a *agent.Agent, o agent.DrainOptions, asJSON bool) error {
	p, err := a.DrainPlan(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return c.ui.printJSON(drainJSON{p, int64(p.Deadline / time.Second)})
	}
	c.ui.drainPlan(a.Files.App, p)
	return nil
}

// drainPlan prints what a drain would do, in the order in which it would.
func (u *ui) drainPlan(app string, p agent.DrainPlan) {
	running := "not running"
	if p.Running {
		running = "running"
	}
	u.row("app", "%s on %s, %s", app, p.Instance, running)
	u.row("reason", "%s, to be over in %s", p.Reason, p.Deadline)
	for _, g := range p.Groups {
		u.row("let-go", "%s: %s", g.ARN, groupText(g, p.Deregister))
	}
	if p.Hook != "" {
		u.row("hook", "%s, completed with CONTINUE", p.Hook)
	}
	for _, f := range p.Flush {
		u.row("flush", "%s (%s): %s", f.Name, f.Kind, f.Text())
	}
	for _, w := range p.Warnings {
		u.row("warning", "%s", w)
	}
}

func groupText(g agent.GroupPlan, deregister bool) string {
	switch {
	case g.Error != "":
		return g.Error
	case g.Unused:
		return "unused"
	case deregister:
		return "in use, to be deregistered"
	}
	return "in use, waited for"
}
