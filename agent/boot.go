package agent

import (
	"context"
	"time"

	"koboshi/agent/converge"
	"koboshi/agent/report"
)

// Boot is what systemd starts on every launch and reboot. It returns the
// report that it has also left in the state directory; the error is nil where
// the exit code is 0.
//
// At launch a lifecycle action may wait for the outcome. After a reboot none
// does: the release that was running is started first, before anything is asked
// of the network, and the channel is followed afterwards.
func (a *Agent) Boot(ctx context.Context) (report.Report, error) {
	limited, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("boot")
	unlock, err := r.lock(limited, true)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()

	r.startWithoutNetwork(limited)
	if err := r.discover(limited); err != nil {
		return r.end(limited, converge.Failed(err))
	}
	if !r.ranHere() {
		return r.end(limited, r.launch(limited))
	}
	r.startAfterReboot(limited)
	if turn := r.turn(limited); turn > 0 {
		unlock()
		return r.catchUp(ctx, turn)
	}
	return r.end(limited, r.reboot(limited))
}

// launch is the first boot of an instance, or what is left of it after a crash.
func (r *run) launch(ctx context.Context) converge.Outcome {
	if _, held := r.held(); held {
		r.warn("a hold does not count at launch")
	}
	r.findAction(ctx)
	stopHeartbeats := r.keepAlive(ctx) // which looks for the action while the release is fetched
	out := r.Follow(ctx)
	if out.Err == nil {
		r.jitterContinue(ctx)
		out = r.Recheck(ctx)
	}
	if out.Err != nil {
		out = r.SettleLaunch(ctx, out)
	}
	if out.Err == nil {
		r.jitterContinue(ctx)
	} else {
		r.delayAbandon(ctx, out.Err)
	}
	stopHeartbeats()
	out = r.signal(ctx, out)
	r.prune(ctx)
	return out
}

// startAfterReboot starts the release that was running, unless that is done.
func (r *run) startAfterReboot(ctx context.Context) {
	if current, found := r.Current(); found && !r.Up(current) {
		r.startCurrent(ctx)
	}
	r.ready()
}

// catchUp is a reboot that follows its channel later. Other runs may work on the
// machine meanwhile.
func (r *run) catchUp(ctx context.Context, turn time.Duration) (report.Report, error) {
	if err := r.pause(ctx, "spread", turn); err != nil {
		return r.end(ctx, converge.Failed(err))
	}
	ctx, cancel := r.agent.limit(ctx)
	defer cancel()
	unlock, err := r.lock(ctx, true)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()
	r.state = r.state.For(r.Instance.ID)
	r.AssumeUp(ctx)
	return r.end(ctx, r.reboot(ctx))
}

// reboot converges a machine that runs the release that it ran before.
func (r *run) reboot(ctx context.Context) converge.Outcome {
	out := r.follow(ctx)
	if out.Verdict == report.Stale {
		out.Cause, out.Err = out.Err, nil // a boot is no check: what runs goes on running
	}
	r.prune(ctx)
	return out
}

// startWithoutNetwork starts the release that ran before the reboot where the
// firmware says which instance this is.
func (r *run) startWithoutNetwork(ctx context.Context) {
	if id, ok := r.agent.LocalID(); ok {
		r.Instance.ID = id
		if r.ranHere() {
			r.startCurrent(ctx)
		}
	}
}

// startCurrent is best effort: where the app does not come up, converging
// starts it again, and judges.
func (r *run) startCurrent(ctx context.Context) {
	current, found := r.Current()
	if !found {
		return
	}
	if err := r.Activate(ctx, current); err != nil {
		r.warn("%s did not come up after the reboot: %v", current.Version(), err)
	}
}

// ranHere reports whether this very instance has been through its launch and
// has a current release that was healthy on it.
func (r *run) ranHere() bool {
	if r.state.For(r.Instance.ID).Signalled == nil {
		return false
	}
	current, found := r.Current()
	return found && current.HealthyOn(r.Instance.ID)
}
