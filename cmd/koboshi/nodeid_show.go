package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/lease"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
)

func (c *cli) nodeIDShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "show the node id of this machine",
		Long: "Show the node id that this machine holds, within which bounds its app may use it, and when it was\n" +
			"last renewed. The table is not asked. Exit code 22: it holds none." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Metadata, failure.NodeID),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runNodeIDShow(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// viewJSON is the output of node-id show --json.
type viewJSON struct {
	nodeid.View
	LeftSeconds int64 `json:"left_seconds"`
}

func (c *cli) runNodeIDShow(ctx context.Context, asJSON bool) error {
	a, err := c.newAgent(ctx)
	if err != nil {
		return err
	}
	if !a.Files.NodeID.On() {
		return c.noNodeIDs(a.Files)
	}
	v, err := a.NodeID(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	if asJSON {
		err = c.ui.printJSON(viewJSON{v, int64(v.Left(now) / time.Second)})
	} else {
		c.ui.view(v, now)
	}
	if v.Left(now) < 0 {
		err = errors.Join(fmt.Errorf("%w: the lease of id %d of %s is over", nodeid.ErrNodeID, v.NodeID, v.Scope), err)
	}
	return err
}

// noNodeIDs is the error of a configuration without a scope.
func (c *cli) noNodeIDs(cfg *config.Config) error {
	return failure.WithHint(failure.Mark(fmt.Errorf("%s: node_id.scope is empty: %s has no node ids", c.configFile, cfg.App), failure.ErrConfiguration), "koboshi help node-ids shows how to set them up")
}

func (u *ui) view(v nodeid.View, now time.Time) {
	name := ""
	if v.Name != "" {
		name = ", " + v.Name
	}
	u.row("id", "%d: datacenter %d, worker %d%s", v.NodeID, v.DatacenterID, v.WorkerID, name)
	u.row("scope", "%s, generation %d", v.Scope, v.Gen)
	if v.Table != "" {
		u.row("table", "%s", v.Table)
	}
	if !v.Here {
		u.row("warning", "the configuration has another scope or table: the app gets an id of that when it is started again")
	}
	after := ""
	if !v.NotBefore.IsZero() {
		after = "after " + timeText(v.NotBefore) + ", "
	}
	u.row("valid", "%suntil %s: %s", after, timeText(v.ValidUntil), leftText(v.Left(now)))
	if v.Phase == lease.Stopped {
		u.row("app", "has ended; it goes on with this id when it is started again")
	}
	if !v.Stop.IsZero() {
		u.row("stop", "by systemd at %s, unless it is renewed", timeText(v.Stop))
	}
	if !v.Renewed.IsZero() {
		u.row("renewed", "%s", timeText(v.Renewed))
	}
	u.renewalRows(v.Node)
}

func leftText(left time.Duration) string {
	if left < 0 {
		return "over since " + report.Duration(-left)
	}
	return report.Duration(left) + " left"
}

// nodeRows are the lease in status.
func (u *ui) nodeRows(id int, n report.Node, now time.Time) {
	u.row("node-id", "%d of %s, generation %d, until %s (%s)", id, n.Scope, n.Gen, timeText(n.ValidUntil), leftText(n.ValidUntil.Sub(now)))
	u.renewalRows(n)
}

// renewalRows warn of renewals that have failed: one may, since the next one comes soon.
func (u *ui) renewalRows(n report.Node) {
	if n.Failed > 1 {
		u.row("warning", "the last %d renewals of the node id have failed: %s", n.Failed, n.Failure)
	}
}

// lookAtNodeID puts the lease as it is now in place of the one that the run had.
func (r *recorded) lookAtNodeID(cfg *config.Config) {
	r.NodeID, r.Node = nil, nil
	if !cfg.NodeID.On() {
		return
	}
	id, known := localID()
	if !known {
		id = r.Instance.ID
	}
	v, err := agent.LookAtNodeID(cfg, id, clock().Boot)
	switch {
	case err == nil:
		r.NodeID, r.Node = &v.NodeID, &v.Node
	case !errors.Is(err, nodeid.ErrNone):
		r.Warnings = append(r.Warnings, report.Clean(err.Error(), report.MaxText))
	}
}
