package nodeid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/pace"
)

// Tend is what a watch does for the lease at each look, without the table: an app whose
// time is over, or whose clock was set back below its bounds, is stopped, in case that
// nothing else has. due is whether the lease is to be renewed now. While another process
// is at the record there is nothing to do. Errors are ErrNodeID.
func (n *Node) Tend(ctx context.Context) (due bool, err error) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	unlock, err := n.lock(short)
	if errors.Is(err, state.ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unlock()
	r, _, err := n.load()
	if err == nil && n.strayed(r) {
		return false, failed(n.wantKnown())
	}
	if err != nil || !n.mine(r) || r.Phase != lease.Holding {
		return false, failed(err)
	}
	if err := n.noteClock(&r); err != nil {
		return false, failed(err)
	}
	if why := n.over(r); why != "" {
		return false, failed(n.end(ctx, &r, why))
	}
	return n.Now().UnixMilli() >= n.renewAt(r), nil
}

// Over reports whether the app may not run on, by the record, which a renewal may hold.
func (n *Node) Over() bool {
	r, _, err := n.load()
	return err == nil && r.Phase == lease.Holding && n.over(r) != ""
}

// strayed reports whether the app was started with an id, and this machine does not know
// to hold it any more: its record is lost, or the scope was renamed.
func (n *Node) strayed(r Record) bool {
	if n.mine(r) || r.Instance == n.Instance.ID && r.Phase == lease.Releasing {
		return false
	}
	_, err := n.Run.Lstat(AppFile)
	return err == nil
}

// wantKnown has the app started anew with an id that this machine knows to hold.
func (n *Node) wantKnown() error {
	if n.Wanted() {
		return nil
	}
	n.Warn("the app was started with a node id that this machine does not know to hold any more: it is started anew with another one")
	return n.want()
}

// late is how late PID 1 may begin to stop the app, in milliseconds.
const late = 1000

// over is why the app may not run on, "" while it may.
func (n *Node) over(r Record) string {
	now := n.Now().UnixMilli()
	bounds := r.Tenure().Bounds(n.unit(), n.slack())
	switch {
	case now < bounds.NotBefore:
		return fmt.Sprintf("the clock was set back below the id's bounds, by %s", time.Duration(bounds.NotBefore-now)*time.Millisecond)
	case r.Stop != 0 && now >= r.Stop+late:
		return "its lease was not renewed in time"
	}
	return ""
}

// end stops the app, and has it started again as soon as an id can be had.
func (n *Node) end(ctx context.Context, r *Record, why string) error {
	n.Warn("the app is stopped for its node id: %s", why)
	if err := n.App.Stop(ctx); err != nil {
		return fmt.Errorf("the app could not be stopped: %w", err)
	}
	return errors.Join(n.markDown(r), n.want())
}

// Want has the app started as soon as an id can be had. Errors are ErrNodeID.
func (n *Node) Want() error { return failed(n.want()) }

func (n *Node) want() error { return durable.WriteFile(n.Run, wantedFile, nil, 0o644) }

// Wanted reports whether the app is down for want of an id.
func (n *Node) Wanted() bool {
	if n.Run == nil {
		return false
	}
	_, err := n.Run.Lstat(wantedFile)
	return err == nil
}

// noteClock keeps what the clock may have shown before it was set: the app may have used
// that. From then on it is expected to go on from what it shows now.
func (n *Node) noteClock(r *Record) error {
	const between = 10 // milliseconds: the two clocks are read one after the other
	now, uptime := n.Now().UnixMilli(), n.Clock.Uptime().Milliseconds()
	expected := r.expected(uptime)
	if now >= expected-between && now <= expected+between {
		return nil
	}
	r.Highest = max(r.Highest, expected, now)
	r.Started, r.Uptime = now, uptime
	return r.save(n.State)
}

// renewAt is when the lease is renewed: at node_id.renew, earlier by a share that follows
// from the instance's id, and more often after a renewal has failed.
func (n *Node) renewAt(r Record) lease.Millis {
	early := time.Duration(pace.Share(n.Instance.ID, 0) * float64(n.Config.Renew) / 5)
	at := r.Until - ms(n.Config.Lease) + ms(n.Config.Renew) - early.Milliseconds()
	if r.Failures > 0 {
		again := min(max(ms(n.Config.Renew)/10, 5_000), 60_000)
		at = max(at, n.failedAt+again)
	}
	return at
}

// Renew moves the end of the lease that the app runs under. A lease that is lost stops
// the app. Errors are ErrNodeID.
func (n *Node) Renew(ctx context.Context) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, _, err := n.load()
	if err != nil || !n.mine(r) || r.Phase != lease.Holding {
		return failed(err)
	}
	return failed(n.renew(ctx, &r))
}

func (n *Node) renew(ctx context.Context, r *Record) error {
	holder, err := n.holder(r.Scope)
	if err != nil {
		return n.noteFailed(r, err)
	}
	t, err := holder.Renew(ctx, r.Tenure())
	if errors.Is(err, lease.ErrLost) {
		return errors.Join(err, n.end(ctx, r, err.Error()))
	}
	if err != nil {
		return n.noteFailed(r, err)
	}
	renewed := *r
	renewed.set(t)
	n.noteRenewed(&renewed)
	bounds := t.Bounds(n.unit(), n.slack())
	if err := n.arm(ctx, &renewed, bounds); err != nil {
		return n.noteFailed(r, err) // PID 1 stops the app as it was to before, and what is recorded says so
	}
	if err := renewed.save(n.State); err != nil {
		return err
	}
	return n.tell(renewed, bounds)
}

// Failed records that the table could not even be asked. Errors of doing so are left to
// the next renewal.
func (n *Node) Failed(err error) {
	unlock, lockErr := n.lock(context.Background())
	if lockErr != nil {
		return
	}
	defer unlock()
	if r, _, loadErr := n.load(); loadErr == nil && n.mine(r) {
		_ = n.noteFailed(&r, err)
	}
}

// noteFailed records what people want to know of: the next renewal may succeed.
func (n *Node) noteFailed(r *Record, err error) error {
	n.failedAt = n.Now().UnixMilli()
	r.Failures, r.Failure = r.Failures+1, report.Clean(err.Error(), report.MaxText)
	return errors.Join(err, r.save(n.State))
}
