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

// remember uses the channel, region and zone with which the app was healthy, until
// they are known again.
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
// has that; where it was lost, a release that was healthy here shows that there was
// a boot before, and Auto Scaling whether its action was completed. In doubt the
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
