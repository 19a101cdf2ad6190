package agent

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/asg"
	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/status"
)

// part is this machine's part of a time over which a fleet spreads something.
// It follows from the instance id, and so is the same at every try.
func (r *run) part(of time.Duration) time.Duration {
	return time.Duration(asg.Share(r.who.ID, 0) * float64(of)).Round(time.Millisecond)
}

// pause is a step in which nothing is done for a while. It ends early with ctx.
func (r *run) pause(ctx context.Context, name string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	r.Waits(name, d)
	return r.steps.Do(ctx, name, func(ctx context.Context, _ *status.Span) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// spread waits, once a launch, before the channel is looked at for the last time
// and the hook is told CONTINUE: what a fleet of thousands tells Auto Scaling at
// the same time is refused. The app serves already, and systemd may know.
func (r *run) spread(ctx context.Context) {
	wait := r.part(time.Duration(r.config.Lifecycle.Spread))
	if r.spreadOut || wait == 0 || !r.awaited() {
		return
	}
	r.spreadOut = true
	r.ready()
	_ = r.pause(ctx, "spread", wait) // whatever ends it ends the launch as well
}

// hold waits before the hook is told ABANDON: a fleet that fails together shall
// not be launched again in step.
func (r *run) hold(ctx context.Context, out outcome) {
	if r.config.Lifecycle.OnFailure == config.Wait || errors.Is(out.err, instance.ErrNoCredentials) || !r.awaited() {
		return
	}
	_ = r.pause(ctx, "hold", r.part(time.Duration(r.config.Lifecycle.AbandonHold))) // the hook is told all the same
}

// takeTurn waits until it is this instance's turn to tell the hook.
func (r *run) takeTurn(ctx context.Context, out outcome) {
	if out.err == nil {
		r.spread(ctx)
	} else {
		r.hold(ctx, out)
	}
}

// awaited tells whether a launch hook waits for this machine.
func (r *run) awaited() bool {
	if r.waiting == nil {
		return false
	}
	hook, _ := r.waiting() // who signals tells of the error
	return hook != (asg.Hook{})
}
