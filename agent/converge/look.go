package converge

import (
	"context"
	"fmt"
	"time"

	"koboshi/agent/health"
	"koboshi/artifacts"
	"koboshi/artifacts/pace"
	"koboshi/artifacts/store"
)

// A single probe may meet a restart that systemd is just making.
const (
	lookTries = 3
	lookPause = time.Second
)

// Look asks the app now whether it is up and healthy. Only a release that passed
// the gate on this instance counts. The error is what is wrong.
func (r *Run) Look(ctx context.Context) error {
	r.up = ""
	current, found := r.Current()
	switch {
	case !found:
		return fmt.Errorf("%w: no release is current", health.ErrUnhealthy)
	case !current.HealthyOn(r.Instance.ID):
		return fmt.Errorf("%w: %s has not passed the gate on this instance", health.ErrUnhealthy, current.Version())
	}
	if why, err := r.Service.Down(ctx); err == nil && why != "" {
		return fmt.Errorf("%w: %s", health.ErrUnhealthy, why)
	}
	var err error
	for try := range lookTries {
		if try > 0 {
			if err := pace.Sleep(ctx, lookPause); err != nil {
				return err
			}
		}
		if err = r.Service.Probe(ctx, current.Manifest().Manifest().Health); err == nil {
			r.up = current.ID()
			return nil
		}
	}
	return err
}

// stillUp reports whether the app is up from rel now: what was seen some time
// ago, before a download, may no longer be so.
func (r *Run) stillUp(ctx context.Context, rel store.Release) bool {
	return r.Up(rel) && r.Look(ctx) == nil || r.recovers(ctx, rel)
}

// recovers gives an app that runs from rel, but is not healthy, the time of the
// gate before it is started anew: a live app is not restarted on a guess.
func (r *Run) recovers(ctx context.Context, rel store.Release) bool {
	current, found := r.Current()
	if !found || current.ID() != rel.ID() || !rel.HealthyOn(r.Instance.ID) {
		return false
	}
	if why, err := r.Service.Down(ctx); err != nil || why != "" {
		return false
	}
	err := r.gate(ctx, rel, func(ctx context.Context, override artifacts.Health) (health.Report, error) {
		return r.Service.Await(ctx, override)
	})
	if err != nil {
		r.Warn("%s runs but is not healthy, and is started anew: %v", rel.Version(), err)
		return false
	}
	r.up = rel.ID()
	return true
}
