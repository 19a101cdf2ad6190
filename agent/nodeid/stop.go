package nodeid

import (
	"context"
	"errors"

	"koboshi/agent/lease"
	"koboshi/artifacts/durable"
)

// Down records that the app has ended, and what it can have used. The caller has seen
// that it does not run. Without a lease there is nothing to record. Errors are
// ErrNodeID.
func (n *Node) Down(ctx context.Context) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, _, err := n.load()
	if err == nil && r.Instance != n.Instance.ID {
		return nil
	}
	if err == nil {
		err = n.markDown(&r)
	}
	return failed(err)
}

// markDown makes durable what the app can have used, also under the lease before.
func (n *Node) markDown(r *Record) error {
	changed := n.mark(r)
	if r.Before != nil {
		changed = n.mark(r.Before) || changed
	}
	if !changed {
		return nil
	}
	return r.save(n.State)
}

func (n *Node) mark(r *Record) (changed bool) {
	if r.Phase != lease.Holding || r.Boot != n.Clock.Boot { // before a power cut: what it used is not known
		return false
	}
	r.Phase, r.Mark = lease.Stopped, n.used(*r)
	return true
}

// used is the last moment that the app can have used, by what the clock has shown since
// it was started. A clock that was set back has shown more than it shows now.
func (n *Node) used(r Record) lease.Millis {
	last := max(n.Now().UnixMilli(), r.expected(n.Clock.Uptime().Milliseconds()), r.Highest)
	last += ms(n.Config.Ahead)
	if n.Config.Aware {
		last = min(last, r.Until)
	}
	return max(last, r.Floor)
}

// expected is what a clock shows that was not set since it was looked at last.
func (r Record) expected(uptime lease.Millis) lease.Millis { return r.Started + uptime - r.Uptime }

// Release gives the id back. The app has ended. What the table does not take now frees
// itself. Without a lease there is nothing to release. Errors are ErrNodeID.
func (n *Node) Release(ctx context.Context) (note string, err error) {
	unlock, err := n.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	r, _, err := n.load()
	if err != nil {
		return "", failed(err)
	}
	if r.Instance != n.Instance.ID {
		return "none is held", nil
	}
	if err := n.markDown(&r); err != nil {
		return "", failed(err)
	}
	err = errors.Join(n.releaseOne(ctx, &r), n.disarm(ctx))
	n.releaseBefore(ctx, &r)
	if err != nil {
		return describe(r), failed(err)
	}
	return describe(r), failed(errors.Join(durable.Remove(n.Run, AppFile), durable.Remove(n.Run, wantedFile), durable.Remove(n.State, RecordFile)))
}

// errNotStopped is a lease of an earlier boot that ended without a clean stop.
var errNotStopped = errors.New("how far the id was used before this boot is not known: it frees itself when its lease has ended")

func (n *Node) releaseOne(ctx context.Context, r *Record) error {
	switch {
	case r.Phase == lease.Releasing:
		return nil // that tenure is over
	case r.Phase != lease.Stopped:
		return errNotStopped
	}
	r.Phase = lease.Releasing
	if err := r.save(n.State); err != nil {
		return err
	}
	holder, err := n.holder(r.Scope)
	if err != nil {
		return err
	}
	return holder.Release(ctx, r.Tenure(), r.Mark)
}

// releaseBefore releases the lease that the app ran under before, once it has ended.
func (n *Node) releaseBefore(ctx context.Context, r *Record) {
	before := r.Before
	r.Before = nil
	if before == nil || before.Phase != lease.Stopped || n.Tables == nil || before.Table != n.Config.Table.String() {
		return
	}
	err := r.save(n.State) // without it: that tenure is over, whatever the table answers
	var table lease.Table
	if err == nil {
		table, err = n.Tables(before.Scope)
	}
	if err == nil {
		h := lease.Holder{Table: table, Scope: before.Scope, Now: n.Now}
		err = h.Release(ctx, before.Tenure(), before.Mark)
	}
	if err != nil {
		n.Warn("id %d of %s could not be released, and frees itself: %v", before.ID, before.Scope, err)
	}
}

// Forgo is for an app that is down and is started without an id. Errors are ErrNodeID.
func (n *Node) Forgo(ctx context.Context) error {
	return failed(errors.Join(n.disarm(ctx), durable.Remove(n.Run, AppFile), durable.Remove(n.Run, wantedFile)))
}

func (n *Node) disarm(ctx context.Context) error {
	if n.Config.Aware {
		return nil
	}
	return n.App.Disarm(ctx)
}
