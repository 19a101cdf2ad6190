package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/drain"
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
	if !found || !current.HealthyOn(id) || r.startedAgain || r.pooledHere() {
		return nil
	}
	r.startedAgain = true
	if err := r.mayStay(ctx, id); err != nil {
		return err
	}
	r.remember(id, current.HealthyAt())
	trouble := r.lock(ctx, false)
	switch {
	case errors.Is(trouble, state.ErrLocked):
		return nil
	case errors.Is(trouble, state.ErrLeaving):
		return trouble
	}
	if err := r.Activate(ctx, current); err != nil {
		r.warn("%s did not come up after the reboot: %v", current.Version(), err)
	}
	if r.state.Signalled != nil {
		r.ready()
	}
	return trouble
}

// targetTime bounds the question for the target state before an app is started again.
const targetTime = 2 * time.Second

// mayStay refuses to start anything on an instance whose drain is not over, or that is
// to be terminated. Where the metadata does not answer soon, the app starts. A drain
// before this boot is forgotten then: what runs again can be drained again.
func (r *run) mayStay(ctx context.Context, id string) error {
	if err := r.notDraining(id); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, targetTime)
	defer cancel()
	if target, err := r.agent.Machine.TargetState(short); err == nil && lifecycle.Leaving(target) {
		return fmt.Errorf("%w: the target lifecycle state is %s", state.ErrLeaving, target)
	}
	if record := r.openDrain(); record.Instance == id && record.Boot != r.agent.Clock.Boot {
		r.forgetRecord()
	}
	return nil
}

// notDraining refuses to start anything on an instance whose drain is not over. The run
// directory says so, too, but not after a reboot.
func (r *run) notDraining(id string) error {
	record := r.openDrain()
	if !record.Open() || record.Instance != id {
		return nil
	}
	if record.Boot != r.agent.Clock.Boot && record.Returns {
		r.forgetRecord() // the instance was to come back, and has
		return nil
	}
	return fmt.Errorf("%w: %s, since %s", state.ErrLeaving, record.Reason, record.Noticed.Format(time.RFC3339))
}

// forgetRecord forgets a drain. A disk that takes nothing keeps no app from starting.
func (r *run) forgetRecord() {
	if err := drain.Remove(r.dirs.state); err != nil {
		r.warn("the drain before this boot could not be forgotten: %v", err)
	}
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
		r.tellNode()
	}
	r.Config, _ = r.agent.Files.WithTags(map[string]string{config.TagChannel: knew.Channel})
}

// launched reports whether this instance has been through its launch. The state
// has that; where it was lost, a release that was healthy here shows that there was
// a boot before, and Auto Scaling whether its action was completed. In doubt the
// launch is not over.
func (r *run) launched(ctx context.Context) bool {
	if r.pooledHere() {
		r.pooled = r.stillPooled(ctx)
		if !r.pooled {
			r.note(forgetEnded(r.dirs))
		}
		return r.pooled
	}
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
