package agent

import (
	"context"
	"fmt"
	"time"

	"koboshi/agent/nodeid"
	"koboshi/artifacts/pace"
)

// watchedNode is the node id as a watch keeps it.
type watchedNode struct {
	*nodeid.Node
	renewed chan error // the end of the renewal that is under way; nil = none is
	giveUp  func()     // ends it
	tried   time.Time  // when the app was last started for want of an id
	problem string     // that was told
}

const (
	renewTime  = 2 * time.Minute  // for one renewal, with all of its repetitions
	brieflyFor = 10 * time.Second // for one beside a drain, which needs the record, too
	startAgain = time.Minute      // between two attempts to start an app that is down for want of an id
	tendTime   = 20 * time.Second // for one look at the lease: an app may take longer to stop than the watchdog waits
	keepTime   = 20 * time.Second // for systemd to stop the app, when the machine shuts down
)

// keepNode says which node ids this watch renews: without that none is claimed.
func (w *watch) keepNode(d dirs) {
	node := w.agent.node(w.Warn)
	var err error
	switch {
	case node != nil:
		node.State, node.Run = d.state, d.run
		w.node = &watchedNode{Node: node}
		if d.run != nil {
			err = node.Keep()
		}
	case d.run != nil:
		err = nodeid.KeepNone(d.run)
	}
	if err != nil {
		w.Warn("%v", err)
	}
}

// watchNode begins to keep the node id, if there is to be one.
func (w *watch) watchNode() {
	if w.node != nil {
		w.node.Instance.ID = w.id
	}
}

// wanted reports whether the app is down for want of a node id.
func (n *watchedNode) wanted() bool { return n != nil && n.Wanted() }

// tend keeps the lease. A renewal goes on beside the looks.
func (w *watch) tend(ctx context.Context) {
	n := w.node
	if n == nil {
		return
	}
	if n.renewed != nil {
		select {
		case err := <-n.renewed:
			n.renewed = nil
			w.toldOfNode(err)
		default:
			if !n.Over() || !w.abandon() {
				return
			}
		}
	}
	short, cancel := context.WithTimeout(ctx, tendTime)
	defer cancel()
	due, err := n.Tend(short)
	if err != nil {
		w.toldOfNode(err)
		return
	}
	if due {
		w.renew(ctx)
	}
}

// abandon ends a renewal that keeps the record from a look which has to stop the app, and
// reports whether it has ended.
func (w *watch) abandon() bool {
	w.node.giveUp()
	select {
	case err := <-w.node.renewed:
		w.node.renewed = nil
		w.toldOfNode(err)
		return true
	case <-time.After(time.Second):
		return false
	}
}

func (w *watch) renew(ctx context.Context) {
	n := w.node
	ended := make(chan error, 1)
	n.renewed = ended
	limit := renewTime
	if w.drain != nil {
		limit = brieflyFor
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	n.giveUp = cancel
	go func() {
		defer cancel()
		if err := w.connectNode(ctx); err != nil {
			n.Failed(err)
			ended <- err
			return
		}
		ended <- n.Renew(ctx)
	}()
}

// connectNode makes the table's client, once.
func (w *watch) connectNode(ctx context.Context) error {
	n := w.node
	if n.Tables != nil {
		return nil
	}
	who, err := w.agent.Machine.Identity(ctx)
	if err != nil {
		return err
	}
	cloud, err := w.agent.Connect(w.agent.Files, who)
	if err != nil {
		return err
	}
	n.Instance, n.Tables = who, cloud.NodeTable
	return nil
}

// toldOfNode warns of what was not wrong before.
func (w *watch) toldOfNode(err error) {
	n := w.node
	if err != nil && n.problem != err.Error() {
		w.Warn("node id: %v", err)
	}
	n.problem = text(err)
}

// startForNode starts the boot again, which claims.
func (w *watch) startForNode(ctx context.Context) {
	if w.drain != nil || time.Since(w.node.tried) < startAgain {
		return
	}
	w.node.tried = time.Now()
	if err := w.Relaunch(ctx); err != nil {
		w.Warn("the app is down for want of a node id, but the boot could not be started: %v", err)
	}
}

// markNode makes durable what the app has used, once systemd has stopped it for a
// shutdown: after it the instance goes on with its id.
func (w *watch) markNode(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	for {
		running, err := w.agent.Service.Running(ctx)
		if err == nil && !running {
			err = w.node.Down(ctx)
			w.toldOfNode(err)
			return
		}
		w.Alive("the machine shuts down: the app is waited for")
		if pace.Sleep(ctx, 200*time.Millisecond) != nil {
			w.Warn("what the app used of its node id could not be recorded, and the next boot claims another one: %v", fmt.Errorf("it has not ended: %w", context.Cause(ctx)))
			return
		}
	}
}
