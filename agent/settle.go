package agent

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

// settleLaunch decides what a launch that did not reach its target ends as: the
// last good release where the configuration allows it for this kind of failure,
// else nothing that a load balancer may send requests to.
func (r *run) settleLaunch(ctx context.Context, out outcome) outcome {
	if ctx.Err() != nil {
		return out // no time is left to try anything else
	}
	kind := failure.Kind(out.err)
	candidates := r.candidates()
	if slices.Contains(r.config.Fallback.When, kind) {
		for _, rel := range candidates {
			if err := r.fallBack(ctx, rel); err != nil {
				r.warn("no fallback to %s: %v", rel.Version(), err)
				continue
			}
			return outcome{verdict: report.Stale, cause: out.err}
		}
	}
	if kind == config.Unhealthy && len(candidates) > 0 {
		r.putBack(ctx, candidates[0])
	}
	return out
}

// candidates are the releases that may serve instead of the target, best
// first.
func (r *run) candidates() []store.Release {
	all, err := r.Store.Candidates(r.who.ID)
	if err != nil {
		r.warn("no fallback: %v", err)
	}
	return slices.DeleteFunc(all, func(rel store.Release) bool {
		return r.report.Target != nil && rel.ManifestSHA256().String() == r.report.Target.ManifestSHA256
	})
}

func (r *run) fallBack(ctx context.Context, rel store.Release) error {
	limit := time.Duration(r.config.Fallback.MaxAge)
	if age := r.Now().Sub(lastSeen(rel)); limit == 0 || age > limit {
		return fmt.Errorf("its channel was last seen %s ago, fallback.max_age is %s", age.Round(time.Second), limit)
	}
	if r.up == rel.ID() {
		return nil
	}
	return r.serve(ctx, rel)
}

// lastSeen is when a channel was last seen to point to a release, or when it was
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

// putBack leaves the last good release under current for whoever looks at the
// instance. It is started but not waited for: the instance will not serve.
func (r *run) putBack(ctx context.Context, rel store.Release) {
	if r.up == rel.ID() {
		return
	}
	if _, err := r.start(ctx, rel, rel.Manifest().Manifest().Hooks); err != nil {
		r.warn("%s could not be put back: %v", rel.Version(), err)
	}
}

// settleLive decides the same for a machine that serves: whatever happened,
// what served goes on serving. That holds for a run that was interrupted, too:
// putting it back has its own time.
func (r *run) settleLive(ctx context.Context, out outcome, before store.Release, had bool) outcome {
	if !had {
		return out
	}
	out.err = because(endedBy(ctx), out.err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(r.config.Lifecycle.Deadline))
	defer cancel()
	if r.up != before.ID() {
		if err := r.serve(ctx, before); err != nil {
			r.warn("%s was put back but is not healthy: %v", before.Version(), err)
			return out
		}
	}
	if failure.Kind(out.err) == config.Unavailable {
		out.verdict = report.Stale
	}
	return out
}
