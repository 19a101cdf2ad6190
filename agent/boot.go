package agent

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/store"
)

// Boot is what systemd starts on every launch and reboot. It returns the
// report that it has also left in the state directory; the error is nil where
// the exit code is 0.
//
// A release that was healthy on this instance is started first, before anything
// is asked of the network. At a launch a lifecycle action may wait for the
// outcome: whatever fails from the moment on at which the instance knows itself
// completes that, the disk and the lock included.
func (a *Agent) Boot(ctx context.Context) (report.Report, error) {
	limited, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("boot")
	defer r.close()

	r.note(r.open())
	if id, ok := a.LocalID(); ok {
		r.note(r.startAgain(limited, id))
	}
	if err := r.identify(limited); err != nil {
		return r.end(converge.Failed(limited, errors.Join(err, r.trouble)))
	}
	r.note(r.startAgain(limited, r.Instance.ID))
	r.note(r.readTags(limited)) // whatever has failed: the group is among them
	if !r.launched(limited) {
		return r.end(r.launch(limited))
	}
	r.note(r.lock(limited, true))
	if r.trouble != nil {
		return r.end(converge.Failed(limited, r.trouble))
	}
	r.Patience = time.Duration(r.Config.Fallback.After) // what runs is a fallback that stands ready
	if turn := r.turn(limited); turn > 0 {
		return r.catchUp(ctx, turn)
	}
	return r.end(r.reboot(limited))
}

// note keeps the first thing that fails while a boot finds its way: it ends as
// that, but not before the lifecycle action is known.
func (r *run) note(err error) {
	if r.trouble == nil {
		r.trouble = err
	}
}

// startAgain starts the current release if it was healthy on the instance, with
// what it knew then. It is best effort: where the app does not come up, or
// another run has the lock, converging starts it again, and judges. Trouble with
// the disk, which is the error, keeps nothing from being started.
func (r *run) startAgain(ctx context.Context, id string) error {
	current, found := r.Current()
	if !found || !current.HealthyOn(id) || r.startedAgain {
		return nil
	}
	r.startedAgain = true
	r.remember(id, current.HealthyAt())
	trouble := r.lock(ctx, false)
	if errors.Is(trouble, state.ErrLocked) {
		return nil
	}
	if err := r.Activate(ctx, current); err != nil {
		r.warn("%s did not come up after the reboot: %v", current.Version(), err)
	}
	if r.state.Signalled != nil {
		r.ready()
	}
	return trouble
}

// remember takes what the app was told of its place when it was healthy, until
// it is known again.
func (r *run) remember(id string, knew store.Place) {
	if r.Instance.ID != id {
		r.Instance.ID = id
		r.belong()
	}
	if r.Instance.Region == "" {
		r.Instance.Region, r.Instance.AZ = knew.Region, knew.AZ
	}
	r.Config, _ = r.agent.Files.WithTags(map[string]string{config.TagChannel: knew.Channel})
}

// launched reports whether this instance has been through its launch. The state
// knows that; where it was lost, a release that was healthy here says that there
// was a boot before, and Auto Scaling whether that was completed. In doubt the
// launch is not over.
func (r *run) launched(ctx context.Context) bool {
	if r.state.Signalled != nil || !r.stateLost {
		return r.state.Signalled != nil
	}
	current, found := r.Current()
	if !found || !current.HealthyOn(r.Instance.ID) {
		return false
	}
	_, state, err := r.cloud.Lifecycle.Group(ctx, r.Instance.ID)
	if err != nil {
		r.warn("whether the launch was completed is not known: %v", err)
		return false
	}
	return !lifecycle.Launching(state)
}

// launch is the first boot of an instance, or what is left of it after a crash.
func (r *run) launch(ctx context.Context) converge.Outcome {
	r.cloud.Persist()
	stopHeartbeats := r.keepAlive(ctx) // which looks for the action while the release is fetched
	r.note(r.lock(ctx, true))
	if r.trouble == nil && r.state.Signalled != nil { // the boot that had the lock has ended the launch
		stopHeartbeats()
		return r.reboot(ctx)
	}
	out := r.bringUp(ctx)
	if out.Err == nil {
		r.jitterContinue(ctx)
	} else {
		r.delayAbandon(ctx, out.Err)
	}
	if out.Err == nil && !interrupted(ctx) {
		r.ready()
	}
	stopHeartbeats()
	return r.signal(ctx, out)
}

// bringUp converges an instance that is not in service yet.
func (r *run) bringUp(ctx context.Context) converge.Outcome {
	r.note(r.checkTarget(ctx))
	if r.trouble != nil {
		return converge.Failed(ctx, r.trouble)
	}
	if _, held := r.held(); held {
		r.warn("a hold does not count at launch")
	}
	if r.FallbackReady() {
		r.Patience = time.Duration(r.Config.Fallback.After)
	}
	out := r.Follow(ctx)
	if out.Err == nil {
		r.jitterContinue(ctx)
		out = r.Recheck(ctx)
	}
	if out.Err != nil {
		out = r.SettleLaunch(ctx, out)
	}
	return out
}

// catchUp is a reboot that follows its channel later. Other runs may work on the
// machine meanwhile.
func (r *run) catchUp(ctx context.Context, turn time.Duration) (report.Report, error) {
	r.release()
	if err := r.pause(ctx, "spread", turn); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	limited, cancel := r.agent.limit(ctx)
	defer cancel()
	if err := r.lock(limited, true); err != nil {
		return r.end(converge.Failed(limited, err))
	}
	return r.end(r.reboot(limited))
}

// reboot converges a machine that runs the release that it ran before.
func (r *run) reboot(ctx context.Context) converge.Outcome {
	out := r.follow(ctx)
	if out.Verdict == report.Stale {
		out.Cause, out.Err = out.Err, nil // a boot is no check: what runs goes on running
	}
	return out
}
