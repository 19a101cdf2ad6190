package drain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/artifacts/pace"
)

// Hooks is the part of lifecycle.Client that a drain needs.
type Hooks interface {
	Heartbeat(ctx context.Context, action lifecycle.Action) error
	KeepAlive(ctx context.Context, action lifecycle.Action, after time.Duration, report func(n int, err error))
	Complete(ctx context.Context, action lifecycle.Action, result lifecycle.Result, ready func(context.Context) error) (lifecycle.Outcome, error)
}

// errLastCall ends the time that CONTINUE has after the deadline.
var errLastCall = fmt.Errorf("no success within %s of the deadline", lifecycle.LastCall)

// complete lets Auto Scaling end the instance. The lifecycle hook cannot be
// completed before it waits, so that is waited for, and whatever was left undone
// before, the result is CONTINUE: ABANDON would end the instance as well.
func (d *Drain) complete(ctx context.Context) (string, error) {
	d.endBeats()
	ctx, cancel := pace.Outlive(ctx, lifecycle.LastCall, errLastCall)
	defer cancel()
	defer context.AfterFunc(d.run, cancel)() // another process goes on
	if err := d.find(ctx); err != nil {
		return "", because(ctx, err)
	}
	if d.Action == (lifecycle.Action{}) || d.Record.Told {
		return "no lifecycle action to complete", nil
	}
	found, err := d.hookCompleted(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", lifecycle.ErrNotCompleted, because(ctx, err))
	}
	if d.Record.Told = found.End == lifecycle.Completed; d.Record.Told {
		d.save()
	}
	switch found.End {
	case lifecycle.NoHook:
		d.warn("the group %s has no lifecycle hook %s: nothing waited for the drain", d.Action.Group, d.Action.Hook)
		return "no such lifecycle hook", nil
	case lifecycle.AlreadyOver:
		return fmt.Sprintf("the lifecycle hook does not wait: the instance is %s", cmp.Or(found.State, "in no group")), nil
	}
	return string(lifecycle.Continue), nil
}

// find looks for the lifecycle action where it is not known.
func (d *Drain) find(ctx context.Context) error {
	if d.Find == nil {
		return nil
	}
	action, err := d.Find(ctx)
	if err == nil {
		d.Action, d.Find = action, nil
	}
	return err
}

// hookCompleted completes the action. An instance that is to be terminated may
// still be shown in service.
func (d *Drain) hookCompleted(ctx context.Context) (lifecycle.Outcome, error) {
	for n := 1; ; n++ {
		found, err := d.Hooks.Complete(ctx, d.Action, lifecycle.Continue, nil)
		notYet := found.End == lifecycle.AlreadyOver && d.Record.Reason.ByGroup() && lifecycle.TargetOf(found.State) == lifecycle.Serve
		if err != nil || !notYet {
			return found, err
		}
		pause := pace.Scatter(longestPause, pace.Share(d.Record.Instance, n))
		if err := pace.Sleep(ctx, pause); err != nil {
			return found, fmt.Errorf("%w while %s", err, found.State)
		}
	}
}

// keepAlive keeps the lifecycle hook waiting while the drain lasts.
func (d *Drain) keepAlive(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopBeats != nil || d.Action == (lifecycle.Action{}) {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	over := make(chan struct{})
	go func() {
		defer close(over)
		d.Hooks.KeepAlive(ctx, d.Action, beatsAfter, func(n int, err error) {
			if err == nil {
				d.Beats.Store(int64(n) + 1) // and the one that was taken first
			}
			if err != nil && !errors.Is(err, lifecycle.ErrNoAction) {
				d.warn("heartbeat: %v", err)
			}
		})
	}()
	d.stopBeats = func() { cancel(); <-over }
}

func (d *Drain) endBeats() {
	d.mu.Lock()
	stop := d.stopBeats
	d.stopBeats = nil
	d.mu.Unlock()
	if stop != nil {
		stop() // without the lock: the last round may have something to warn of
	}
}
