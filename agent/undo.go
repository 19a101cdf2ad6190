package agent

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/converge"
	"koboshi/agent/drain"
	"koboshi/agent/failure"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// errGone is a drain that cannot be undone: Auto Scaling ends the instance.
var errGone = failure.WithHint(failure.Mark(errors.New("the drain cannot be undone: the group ends this instance"), failure.ErrUsage), "launch another one")

// Undo brings the app of a drained instance back, by the same gate as any other start.
// Once the lifecycle action is completed, or while the group wants the instance to
// leave, that is too late.
func (a *Agent) Undo(ctx context.Context) (report.Report, error) {
	r := a.begin("sync")
	defer r.close()
	if err := r.open(); err != nil {
		return r.refuse(err)
	}
	unlock, err := r.lockDrain(ctx)
	if err != nil {
		return r.refuse(err) // it has to end first
	}
	defer unlock()
	if err := r.know(ctx); err != nil {
		return r.refuse(err)
	}
	target, err := a.Machine.TargetState(ctx)
	if err != nil {
		return r.refuse(err)
	}
	record := r.openDrain()
	if record.Told && record.Instance == r.Instance.ID || lifecycle.Leaving(target) {
		return r.refuse(errGone)
	}
	if err := r.serveAgain(record); err != nil {
		return r.refuse(err)
	}
	if err := r.startHeld(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	return a.Sync(ctx, SyncOptions{Wait: true})
}

// startHeld starts the release that this machine is held at: a sync would leave it as
// it is.
func (r *run) startHeld(ctx context.Context) error {
	if err := r.lock(ctx, true); err != nil {
		return err
	}
	defer r.release()
	current, found := r.Current()
	if _, held := r.held(); !held || !found {
		return nil
	}
	return r.Activate(ctx, current)
}

// stay ends a drain whose notice was withdrawn.
func (r *run) stay(ctx context.Context, why error) (report.Report, error) {
	if err := r.forgetDrain(); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	r.warn("%v: the app goes on", why)
	if r.state.Signalled != nil || r.stateErr != nil { // else its launch is to be gone on with, up or not
		r.look(ctx)
	}
	rep, _ := r.end(converge.Outcome{Verdict: report.Current})
	return rep, why
}

// serveAgain lets runs start the app again. A notice of EC2 stands whatever a person
// decides: its record stays, so that a watch does not act on it once more.
func (r *run) serveAgain(record drain.Record) error {
	if record.Reason != notice.Spot && record.Reason != notice.Rebalance {
		return r.forgetDrain()
	}
	record.Ended, record.Stopped = r.Now().UTC().Truncate(time.Second), false
	return errors.Join(r.saveDrain(record), state.Stay(r.RunDir))
}

// forgetDrain lets runs start the app again.
func (r *run) forgetDrain() error {
	if r.dirs.err != nil {
		return r.dirs.err
	}
	return errors.Join(drain.Remove(r.dirs.state), state.Stay(r.RunDir))
}
