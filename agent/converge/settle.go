package converge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
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
	if kind == config.Unhealthy && len(candidates) > 0 {
		r.putBack(ctx, candidates[0])
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
	limit := time.Duration(r.Config.Fallback.MaxAge)
	if age := r.Now().Sub(lastSeen(rel)); limit == 0 || age > limit {
		return fmt.Errorf("its channel was last seen %s ago, fallback.max_age is %s", age.Round(time.Second), limit)
	}
	if r.up == rel.ID() {
		return nil
	}
	return r.Activate(ctx, rel)
}

// lastSeen is when a channel last pointed to a release, or when it was
// installed if none ever did.
func lastSeen(rel store.Release) (at time.Time) {
	for _, seen := range rel.Pointers() {
		if seen.Seen.After(at) {
			at = seen.Seen
		}
	}
	if at.IsZero() {
		return rel.Installed()
	}
	return at
}

// putBack leaves the last known good release running for anyone who looks at the
// instance. Its gate is not waited for: the instance will not come into service.
func (r *Run) putBack(ctx context.Context, rel store.Release) {
	if r.up == rel.ID() {
		return
	}
	if _, err := r.start(ctx, rel); err != nil {
		r.Warn("%s could not be put back: %v", rel.Version(), err)
	}
}

// SettleLive decides the same for a live machine: whatever happened, the release
// that was running goes on. That holds for a run that was interrupted, too:
// putting it back has a time of its own.
func (r *Run) SettleLive(ctx context.Context, out Outcome, before store.Release, had bool) Outcome {
	if !had {
		return out
	}
	out.Err = Because(EndedBy(ctx), out.Err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(r.Config.Lifecycle.Deadline))
	defer cancel()
	if r.up != before.ID() {
		if err := r.Activate(ctx, before); err != nil {
			r.Warn("%s was put back but is not healthy: %v", before.Version(), err)
			return out
		}
	}
	if failure.Kind(out.Err) == config.Unavailable {
		out.Verdict = report.Stale
	}
	return out
}
