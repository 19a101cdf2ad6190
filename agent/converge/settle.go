package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
)

// SettleLaunch decides what a launch that did not reach its target ends as: the
// last known good release where the configuration allows that for this kind of
// failure, else nothing that a load balancer may send requests to.
func (r *Run) SettleLaunch(ctx context.Context, out Outcome) Outcome {
	if ctx.Err() != nil {
		return out // no time is left to try anything else
	}
	kind := failure.Kind(out.Err)
	r.offline = r.offline || errors.Is(out.Err, fetch.ErrTransport)
	candidates := r.candidates()
	if slices.Contains(r.Config.Fallback.When, kind) {
		for _, rel := range candidates {
			if err := r.fallBack(ctx, rel); err != nil {
				r.Warn("no fallback to %s: %v", rel.Version(), err)
				continue
			}
			return Outcome{Verdict: report.Stale, Cause: out.Err}
		}
	}
	if kind == config.Unhealthy {
		r.putBack(ctx, candidates)
	}
	return out
}

// candidates are the releases that may run instead of the target, best first.
func (r *Run) candidates() []store.Release {
	all, err := r.Store.Candidates(r.Instance.ID)
	if err != nil {
		r.Warn("no fallback: %v", err)
	}
	return slices.DeleteFunc(all, func(rel store.Release) bool {
		return r.target != nil && rel.ManifestSHA256() == r.target.Manifest.SHA256()
	})
}

func (r *Run) fallBack(ctx context.Context, rel store.Release) error {
	if err := r.mayStandIn(rel); err != nil {
		return err
	}
	if r.up == rel.ID() {
		return r.Look(ctx)
	}
	return r.Activate(ctx, rel)
}

// mayBePutBack reports why a release cannot run in the target's place where
// nothing may be sent requests: it must be one of this channel.
func (r *Run) mayBePutBack(rel store.Release) error {
	if _, ok := r.seen(rel); !ok {
		return fmt.Errorf("channel %s was never seen to point to it", r.Config.Channel)
	}
	return r.mayRun(rel)
}

// mayStandIn reports why a release cannot take the target's place at a launch:
// this channel must have pointed to it, and not too long ago. A time in the
// future is none: the clock was wrong then or is wrong now.
func (r *Run) mayStandIn(rel store.Release) error {
	seen, ok := r.seen(rel)
	limit := time.Duration(r.Config.Fallback.MaxAge)
	age := r.Now().Sub(seen.Seen)
	switch {
	case !ok: // see mayBePutBack
	case age < 0:
		return fmt.Errorf("channel %s was last seen %s in the future", r.Config.Channel, -age.Round(time.Second))
	case age > limit || limit == 0:
		return fmt.Errorf("channel %s was last seen to point to it %s ago, fallback.max_age is %s", r.Config.Channel, age.Round(time.Second), limit)
	}
	return r.mayBePutBack(rel)
}

// FallbackReady reports whether a release on the disk may take the target's
// place at a launch if the source is unavailable. It has yet to pass the gate.
func (r *Run) FallbackReady() bool {
	return slices.Contains(r.Config.Fallback.When, config.Unavailable) &&
		slices.ContainsFunc(r.candidates(), func(rel store.Release) bool { return r.mayStandIn(rel) == nil })
}

// putBack leaves the last known good release running for anyone who looks at the
// instance. Its gate is not waited for: the instance will not come into service.
func (r *Run) putBack(ctx context.Context, candidates []store.Release) {
	i := slices.IndexFunc(candidates, func(rel store.Release) bool { return r.mayBePutBack(rel) == nil })
	if i < 0 || r.Up(candidates[i]) {
		return
	}
	rel, err := r.prove(ctx, candidates[i])
	if err == nil {
		_, err = r.start(ctx, rel, func() error { return r.Store.Activate(rel) })
	}
	if err != nil {
		r.Warn("%s could not be put back: %v", rel.Version(), err)
	}
}

// SettleLive decides the same for a live machine: whatever happened, the release
// that was running goes on, also where the run was interrupted: putting it back has
// a time limit of its own.
func (r *Run) SettleLive(ctx context.Context, out Outcome, before store.Release, had bool) Outcome {
	if !had || errors.Is(out.Err, state.ErrLeaving) { // the app is to be stopped
		return out
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(r.Config.Lifecycle.Deadline))
	defer cancel()
	r.offline = r.offline || errors.Is(out.Err, fetch.ErrTransport)
	if r.Node != nil {
		r.Node.Patient = false
	}
	if err := r.backTo(ctx, before); err != nil {
		if errors.Is(err, nodeid.ErrNodeID) {
			out.Err = Because(err, out.Err)
		}
		return out
	}
	if failure.Kind(out.Err) == config.Unavailable {
		out.Verdict = report.Stale
	}
	return out
}

// backTo has a release running again: the one that ran before, or where its tree
// was altered, or its image is not mounted any more, another that passed the gate here.
func (r *Run) backTo(ctx context.Context, before store.Release) error {
	if r.Up(before) && r.stillUp(ctx, before) {
		return nil
	}
	err := r.Activate(ctx, before)
	if err != nil {
		r.Warn("%s was put back but is not healthy: %v", before.Version(), err)
	}
	if !errors.Is(err, errAltered) && !errors.Is(err, store.ErrMount) {
		return err
	}
	for _, rel := range r.candidates() {
		if rel.ID() == before.ID() || !rel.HealthyOn(r.Instance.ID) {
			continue
		}
		if err = r.Activate(ctx, rel); err == nil {
			return nil
		}
	}
	return err
}
