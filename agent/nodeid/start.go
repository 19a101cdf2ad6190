package nodeid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/lease"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/pace"
)

// Start readies everything for an app that is down and is started next: the clock is
// past what was used before, and PID 1 stops the app in time. It is durable before, that
// the app may use the id from now on. Errors are ErrNodeID.
func (n *Node) Start(ctx context.Context) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, _, err := n.load()
	switch {
	case err != nil:
		return failed(err)
	case !n.mine(r):
		return failed(ErrNone)
	case r.Phase != lease.Stopped:
		return failed(errors.New("the app may be running"))
	}
	n.releaseBefore(ctx, &r)
	r.Floor = max(r.Floor, r.Mark)
	bounds := r.Tenure().Bounds(n.unit(), n.slack())
	if err := n.awaitAfter(ctx, bounds.NotBefore); err != nil {
		return failed(err)
	}
	r.Boot, r.Phase, r.Mark, r.Highest = n.Clock.Boot, lease.Holding, 0, 0
	r.Started, r.Uptime = n.Now().UnixMilli(), n.Clock.Uptime().Milliseconds()
	if err := n.arm(ctx, &r, bounds); err != nil {
		return failed(err)
	}
	if err := r.save(n.State); err != nil {
		return failed(err)
	}
	if err := n.tell(r, bounds); err != nil {
		return failed(err)
	}
	return failed(durable.Remove(n.Run, wantedFile))
}

// awaitAfter waits until the clock shows more than t.
func (n *Node) awaitAfter(ctx context.Context, t lease.Millis) error {
	for {
		left := t - n.Now().UnixMilli() + 1
		if left <= 0 {
			return nil
		}
		if err := pace.Sleep(ctx, min(time.Duration(left)*time.Millisecond, time.Second)); err != nil { // the clock may be set meanwhile
			return fmt.Errorf("the clock is %s behind the last moment that the id was used at: %w", time.Duration(left)*time.Millisecond, context.Cause(ctx))
		}
	}
}

// arm has PID 1 stop the app before the end of its bounds.
func (n *Node) arm(ctx context.Context, r *Record, bounds lease.Bounds) error {
	if n.Config.Aware {
		r.Stop = 0
		return nil
	}
	need, err := n.need(ctx)
	if err != nil {
		return err
	}
	r.Stop = bounds.ValidUntil - need.Milliseconds()
	if r.Stop <= n.Now().UnixMilli() {
		return fmt.Errorf("%w: %s are left of it", ErrTooShort, time.Duration(bounds.ValidUntil-n.Now().UnixMilli())*time.Millisecond)
	}
	if err := n.App.Arm(ctx, time.UnixMilli(r.Stop)); err != nil {
		return fmt.Errorf("the stop at the end of the lease could not be armed: %w", err)
	}
	return nil
}

// told is <run>/node-id.json, for the app.
type told struct {
	Schema     int          `json:"schema"`
	Scope      string       `json:"scope"`
	NodeID     int          `json:"node_id"`
	Datacenter int          `json:"datacenter_id"`
	Worker     int          `json:"worker_id"`
	Name       string       `json:"name,omitzero"`
	Gen        int64        `json:"gen"`
	NotBefore  lease.Millis `json:"not_before_ms"`
	ValidUntil lease.Millis `json:"valid_until_ms"`
}

// tell writes the app's file, readable by all.
func (n *Node) tell(r Record, bounds lease.Bounds) error {
	datacenter, worker := n.Config.SplitID(r.ID)
	data, err := json.Marshal(told{
		Schema: schema, Scope: r.Scope, NodeID: r.ID, Datacenter: datacenter, Worker: worker, Name: n.Config.Name(r.ID), Gen: r.Gen,
		NotBefore: bounds.NotBefore, ValidUntil: bounds.ValidUntil,
	})
	if err == nil {
		err = durable.WriteFile(n.Run, AppFile, append(data, '\n'), 0o644)
	}
	return err
}

// Names of the variables that change while an app runs.
const (
	notBefore  = "KOBOSHI_NOT_BEFORE_MS="
	validUntil = "KOBOSHI_VALID_UNTIL_MS="
)

// Bounds are the beginnings of the variables that differ at each start.
func Bounds() []string { return []string{notBefore, validUntil} }

func (n *Node) variables(r Record) []string {
	datacenter, worker := n.Config.SplitID(r.ID)
	bounds := r.Tenure().Bounds(n.unit(), n.slack())
	env := []string{
		fmt.Sprintf("KOBOSHI_NODE_ID=%d", r.ID),
		fmt.Sprintf("KOBOSHI_DATACENTER_ID=%d", datacenter),
		fmt.Sprintf("KOBOSHI_WORKER_ID=%d", worker),
		fmt.Sprintf("KOBOSHI_NODE_GEN=%d", r.Gen),
		fmt.Sprintf("%s%d", notBefore, bounds.NotBefore),
		fmt.Sprintf("%s%d", validUntil, bounds.ValidUntil),
		"KOBOSHI_NODE_FILE=" + n.Run.Name() + "/" + AppFile,
	}
	if name := n.Config.Name(r.ID); name != "" {
		env = append(env, "KOBOSHI_NODE_NAME="+name)
	}
	return env
}
