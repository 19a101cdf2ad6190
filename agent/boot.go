package agent

import (
	"context"
	"sync"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
)

// Boot is what systemd starts on every launch and reboot. It returns the
// report that it has also left in the state directory; the error is nil where
// the exit code is 0.
//
// At launch a hook waits to hear of the outcome. After a reboot none does: what
// served before is started first, before anything is asked of the network, and
// the channel is looked at afterwards.
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
		return r.end(limited, failed(err))
	}
	if !r.servedHere() {
		return r.end(limited, r.launch(limited))
	}
	r.rise(limited)
	if turn := r.turn(limited); turn > 0 {
		unlock()
		return r.catchUp(ctx, turn)
	}
	return r.end(limited, r.reboot(limited))
}

// launch is the first boot of an instance, or what is left of it after a crash.
func (r *run) launch(ctx context.Context) outcome {
	if _, held := r.held(); held {
		r.warn("a hold does not count at launch")
	}
	r.waiting = sync.OnceValues(func() (lifecycle.Action, error) { return r.awaitedHook(ctx) })
	stopHeartbeats := r.keepAlive(ctx) // which looks for the hook while the release comes
	out := r.converge(ctx)
	if out.err != nil {
		out = r.settleLaunch(ctx, out)
	}
	r.takeTurn(ctx, out)
	stopHeartbeats()
	out = r.signal(ctx, out)
	r.prune(ctx)
	return out
}

// rise starts what served before the reboot, unless that has been done already.
func (r *run) rise(ctx context.Context) {
	if r.up == "" {
		r.startCurrent(ctx)
	}
	r.ready()
}

// catchUp is a reboot that follows its channel later. Others may work on the
// machine meanwhile.
func (r *run) catchUp(ctx context.Context, turn time.Duration) (report.Report, error) {
	if err := r.pause(ctx, "spread", turn); err != nil {
		return r.end(ctx, failed(err))
	}
	ctx, cancel := r.limit(ctx)
	defer cancel()
	unlock, err := r.lock(ctx, true)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()
	r.state = r.state.For(r.who.ID)
	r.assumeCurrentIsUp(ctx)
	return r.end(ctx, r.reboot(ctx))
}

// reboot converges a machine that serves what it served before.
func (r *run) reboot(ctx context.Context) outcome {
	out := r.follow(ctx, nil)
	if out.verdict == report.Stale {
		out.cause, out.err = out.err, nil // a boot is no check: what serves goes on serving
	}
	r.prune(ctx)
	return out
}

// startWithoutNetwork brings back what served before the reboot where the
// firmware tells which instance this is.
func (r *run) startWithoutNetwork(ctx context.Context) {
	if id, ok := r.LocalID(); ok {
		r.who.ID = id
		if r.servedHere() {
			r.startCurrent(ctx)
		}
	}
}

// startCurrent is best effort: where the app does not come up, converging
// starts it again, and judges.
func (r *run) startCurrent(ctx context.Context) {
	current, found := r.current()
	if !found {
		return
	}
	if err := r.serve(ctx, current); err != nil {
		r.warn("%s did not come up after the reboot: %v", current.Version(), err)
	}
}

// servedHere tells whether this very instance has been through its launch and
// has a current release that was healthy on it.
func (r *run) servedHere() bool {
	if r.state.For(r.who.ID).Signalled == nil {
		return false
	}
	current, found := r.current()
	return found && current.HealthyOn(r.who.ID)
}
