package agent

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/converge"
	"koboshi/agent/report"
)

// Boot is what systemd starts on every launch and reboot. It returns the
// report that it has also left in the state directory; the error is nil where
// the exit code is 0.
//
// A release that was healthy on this instance is started first, before anything is
// asked but whether the instance is to end, for which metadata has two seconds. At a
// launch a lifecycle action may wait for the outcome: whatever fails from the moment on
// at which the instance knows itself completes that, the disk and the lock included.
func (a *Agent) Boot(ctx context.Context) (report.Report, error) {
	ctx, stop := a.staying(ctx)
	defer stop()
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
	if err := r.notDraining(r.Instance.ID); err != nil { // which completes what waits
		return r.end(converge.Failed(limited, err))
	}
	r.note(r.startAgain(limited, r.Instance.ID))
	r.askTargetState(limited)
	r.note(r.readTags(limited)) // whatever has failed: the group is among them
	if !r.launched(limited) {
		return r.end(r.launch(limited))
	}
	r.note(r.lock(limited, true))
	if r.trouble != nil {
		return r.end(converge.Failed(limited, r.trouble))
	}
	if r.pooled {
		return r.end(r.stock(limited))
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

// launch is the first boot of an instance, or what is left of it after a crash.
func (r *run) launch(ctx context.Context) converge.Outcome {
	r.cloud.Persist()
	stopHeartbeats := r.keepAlive(ctx) // which looks for the action while the release is fetched
	r.note(r.lock(ctx, true))
	if r.trouble == nil && r.state.Signalled != nil && !r.pooledHere() { // the boot that had the lock has ended the launch
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
	if r.pooled {
		return r.stock(ctx)
	}
	if _, held := r.held(); held {
		r.warn("a hold does not count at launch")
	}
	if r.FallbackReady() {
		r.Patience = time.Duration(r.Config.Fallback.After)
	}
	r.Early = true
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
