package agent

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/pace"
)

// part is this machine's part of a time over which a fleet spreads something.
// It follows from the instance id, and so is the same at every try.
func (r *run) part(of time.Duration) time.Duration {
	return time.Duration(pace.Share(r.who.ID, 0) * float64(of)).Round(time.Millisecond)
}

// pause is a step in which nothing is done for a while. It ends early with ctx.
func (r *run) pause(ctx context.Context, name string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	r.Waits(name, d)
	return r.steps.Do(ctx, name, func(ctx context.Context, _ *report.Span) error {
		return pace.Sleep(ctx, d)
	})
}

// jitterContinue waits, once a launch, before the channel is looked at for the last time
// and the hook is told CONTINUE: what a fleet of thousands tells Auto Scaling at
// the same time is refused. The app serves already, and systemd may know.
func (r *run) jitterContinue(ctx context.Context) {
	wait := r.part(time.Duration(r.config.Lifecycle.ContinueJitter))
	if r.jittered || wait == 0 || !r.awaited() {
		return
	}
	r.jittered = true
	r.ready()
	_ = r.pause(ctx, "spread", wait) // whatever ends it ends the launch as well
}

// hold waits before the hook is told ABANDON: a fleet that fails together shall
// not be launched again in step.
func (r *run) hold(ctx context.Context, out outcome) {
	if r.config.Lifecycle.OnFailure == config.Wait || errors.Is(out.err, instance.ErrNoCredentials) || !r.awaited() {
		return
	}
	_ = r.pause(ctx, "hold", r.part(time.Duration(r.config.Lifecycle.AbandonDelay))) // the hook is told all the same
}

// takeTurn waits until it is this instance's turn to tell the hook.
func (r *run) takeTurn(ctx context.Context, out outcome) {
	if out.err == nil {
		r.jitterContinue(ctx)
	} else {
		r.hold(ctx, out)
	}
}

// awaitTurn waits for this machine's part of the time that its channel's signer
// spreads re-syncs over. Nothing is locked meanwhile, and the channel is read
// anew afterwards.
func (r *run) awaitTurn(ctx context.Context, wait bool) error {
	limited, cancel := r.limit(ctx)
	defer cancel()
	unlock, err := r.lock(limited, wait)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.discover(limited); err != nil {
		return nil //nolint:nilerr // the run itself will find the same, and report it
	}
	r.assumeCurrentIsUp(limited)
	turn := r.turn(limited)
	unlock()
	r.known, r.report.Warnings = nil, nil // the run itself will find the same
	if err := r.pause(ctx, "spread", turn); err != nil {
		return because(endedBy(ctx), err)
	}
	return nil
}

// turn is how long this machine waits before it follows its channel. It does not
// where there is nothing to follow: the channel cannot be read, it names what
// serves, or the machine is held. What has been read then counts.
func (r *run) turn(ctx context.Context) time.Duration {
	if _, held := r.held(); held {
		return 0
	}
	var pointer *artifacts.VerifiedPointer
	err := r.steps.Do(ctx, "resolve", func(ctx context.Context, s *report.Span) (err error) {
		pointer, err = r.pointer(ctx, s)
		return err
	})
	if err == nil && !r.serves(pointer.Reference()) {
		if turn := r.part(time.Duration(pointer.Pointer().SpreadSeconds) * time.Second); turn > 0 {
			return turn
		}
	}
	r.known = func() (*artifacts.VerifiedPointer, error) { return pointer, err }
	return 0
}

// serves tells whether what the reference names is up already.
func (r *run) serves(ref artifacts.Reference) bool {
	current, found := r.current()
	return found && r.up == current.ID() && current.ManifestSHA256() == ref.ManifestSHA256
}

// awaited tells whether a launch hook waits for this machine.
func (r *run) awaited() bool {
	if r.waiting == nil {
		return false
	}
	hook, _ := r.waiting() // who signals tells of the error
	return hook != (lifecycle.Action{})
}
