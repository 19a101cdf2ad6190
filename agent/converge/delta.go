package converge

import (
	"context"
	"errors"
	"slices"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/store"
)

// fromDelta makes the release from an installed one. It is not done where that
// is not possible, or failed and the whole artifact may work: a disk that is full
// or broken would take that no better.
func (r *Run) fromDelta(ctx context.Context, t Target, a artifacts.Artifact) (rel store.Release, done bool, err error) {
	u := r.bestDelta(a)
	if u == nil {
		return rel, false, nil
	}
	err = r.Steps.Do(ctx, "delta", func(ctx context.Context, s *report.Span) error {
		s.Note("from " + u.Base.Version())
		rel, err = r.stage(ctx, t, a, u, s)
		return err
	})
	_, full := errors.AsType[*store.SpaceError](err)
	if err == nil || ctx.Err() != nil || errors.Is(err, errSilent) || errors.Is(err, store.ErrDisk) && !full {
		return rel, true, err
	}
	r.Warn("no delta update from %s, the whole artifact is fetched: %v", u.Base.Version(), err)
	return rel, false, nil
}

// bestDelta finds the installed release from which the artifact has the best
// delta: the current one, since its files are in memory, else the smallest. One
// that costs as much as the artifact is none.
//
// A version is no identity, but no more is needed: if another release was
// installed than was published, its files do not have the hashes that they
// should have.
func (r *Run) bestDelta(a artifacts.Artifact) *store.DeltaUpdate {
	if !r.UseDelta || !format.Known(a) {
		return nil
	}
	all, err := r.Store.Releases()
	if err != nil {
		return nil
	}
	current, _ := r.Current()
	var best *store.DeltaUpdate
	for _, rel := range all {
		i := slices.IndexFunc(a.Deltas, func(d artifacts.Delta) bool { return d.Base == rel.Version() })
		if i < 0 || a.Deltas[i].Size >= a.Size {
			continue
		}
		u := &store.DeltaUpdate{Base: rel, Delta: a.Deltas[i]}
		if rel.ID() == current.ID() {
			return u
		}
		if best == nil || u.Delta.Size < best.Delta.Size {
			best = u
		}
	}
	return best
}
