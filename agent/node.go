package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/drain"
	"koboshi/agent/nodeid"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
)

// node is the app's node id, nil where the configuration has none.
func (a *Agent) node(warn func(format string, args ...any)) *nodeid.Node {
	if !a.Files.NodeID.On() {
		return nil
	}
	return &nodeid.Node{Config: a.Files.NodeID, Nonce: a.Nonce, Clock: a.Clock, Now: a.Now, App: a.Service, Warn: warn}
}

// tellNode tells the node id whose it is.
func (r *run) tellNode() {
	if r.Node != nil {
		r.Node.Instance = r.Instance
	}
}

// wantNode has the watch start the app of a live machine again, as soon as it can have a
// node id, where it is down for want of one.
func (r *run) wantNode(out converge.Outcome) {
	if r.Node == nil || !errors.Is(out.Err, nodeid.ErrNodeID) || r.state.Signalled == nil || r.state.Signalled.Pooled {
		return
	}
	if running, err := r.Service.Running(context.Background()); err != nil || running {
		return
	}
	if err := r.Node.Want(); err != nil {
		r.warn("%v", err)
	}
}

// giveBackTime is how long the table is waited for when an id is given back: the lifecycle
// action waits, too.
const giveBackTime = 30 * time.Second

// leaveNode gives the node id back, once the app has ended. An instance that comes back
// keeps it. What cannot be given back frees itself.
func (r *run) leaveNode(ctx context.Context, record drain.Record) (note string) {
	ctx, cancel := context.WithTimeout(ctx, giveBackTime)
	defer cancel()
	err := r.stopped(ctx)
	switch {
	case err != nil:
	case record.Returns || record.Reason == notice.Shutdown:
		note, err = "kept", r.Node.Down(ctx)
	default:
		note, err = r.Node.Release(ctx)
	}
	if err != nil {
		r.warn("the node id frees itself when its lease has ended: %v", err)
	}
	return note
}

// stopped reports why it is not certain that the app has ended.
func (r *run) stopped(ctx context.Context) error {
	running, err := r.Service.Running(ctx)
	switch {
	case r.stopErr != nil:
		err = r.stopErr
	case errors.Is(err, service.ErrUnknown): // it is started by a command, and the one that stops it has succeeded
		return nil
	case err == nil && running:
		err = errors.New("it runs")
	}
	if err != nil {
		return fmt.Errorf("%w: the app may use it still: %w", nodeid.ErrNodeID, err)
	}
	return nil
}

// errNoNodeID is a machine that has none to release.
var errNoNodeID = fmt.Errorf("%w: %w", nodeid.ErrNodeID, nodeid.ErrNone)

// NodeID is the lease that this machine holds. It changes nothing.
func (a *Agent) NodeID(ctx context.Context) (nodeid.View, error) {
	id, ok := a.LocalID()
	if !ok {
		who, err := a.Machine.Identity(ctx)
		if err != nil {
			return nodeid.View{}, err
		}
		id = who.ID
	}
	return LookAtNodeID(a.Files, id, a.Clock.Boot)
}

// LookAtNodeID is the lease that an instance holds in a boot of the machine.
func LookAtNodeID(cfg *config.Config, instance, boot string) (nodeid.View, error) {
	var dirs [2]*os.Root
	for i, name := range []string{cfg.State.Dir, cfg.State.Run} {
		dir, err := os.OpenRoot(name)
		switch {
		case err == nil:
			defer func() { _ = dir.Close() }() // it is only read
			dirs[i] = dir
		case !errors.Is(err, fs.ErrNotExist):
			return nodeid.View{}, fmt.Errorf("%w: %w: %w", nodeid.ErrNodeID, state.ErrDisk, err)
		}
	}
	return nodeid.Look(cfg.NodeID, instance, boot, dirs[0], dirs[1])
}

// renewalsFailed is from how many renewals in a row that have failed people are warned.
const renewalsFailed = 2

// describeNode reports the lease of the node id, and warns where it is not renewed.
func (r *run) describeNode(rep *report.Report) {
	if r.Node == nil {
		return
	}
	r.Node.Describe(rep)
	if n := rep.Node; n != nil && n.Failed >= renewalsFailed {
		r.warn("the last %d renewals of the node id have failed, and the app may use it until %s: %s", n.Failed, n.ValidUntil.Format(time.RFC3339), n.Failure)
	}
}

// ReleaseNodeID stops the app and gives its node id back. The app stays down until the
// next boot or sync.
func (a *Agent) ReleaseNodeID(ctx context.Context) (report.Report, error) {
	r := a.begin("node-id")
	defer r.close()
	if err := r.prepare(ctx, false); err != nil {
		return r.refuse(err)
	}
	if r.Node == nil {
		return r.refuse(errNoNodeID)
	}
	if err := r.know(ctx); err != nil {
		return r.refuse(err)
	}
	if !r.Node.Holds() {
		return r.refuse(errNoNodeID)
	}
	if r.stopErr = r.Service.Stop(ctx); r.stopErr != nil {
		return r.end(converge.Failed(ctx, r.stopErr))
	}
	if err := r.stopped(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	if _, err := r.Node.Release(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	return r.end(converge.Outcome{Verdict: report.Drained})
}
