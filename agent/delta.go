package agent

import (
	"context"
	"errors"

	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// bestDelta finds the release that is here and from which the artifact has the
// best delta: the one that serves, since its files are in memory, else the
// smallest. None that costs as much as the artifact is one.
//
// A version is no identity, but no more is needed: of a release that is another
// one than was published, no file has the hash that it should have.
func (r *run) bestDelta(a artifacts.Artifact) *store.DeltaUpdate {
	if !r.mayUseDelta() || a.Index == nil && a.Format != artifacts.File {
		return nil
	}
	all, err := r.Store.Releases()
	if err != nil {
		return nil
	}
	current, _ := r.current()
	var best *store.DeltaUpdate
	for _, rel := range all {
		d, ok := deltaFrom(a, rel.Version())
		if !ok || d.Size >= a.Size {
			continue
		}
		if rel.ID() == current.ID() {
			return &store.DeltaUpdate{Base: rel, Delta: d}
		}
		if best == nil || d.Size < best.Delta.Size {
			best = &store.DeltaUpdate{Base: rel, Delta: d}
		}
	}
	return best
}

// mayUseDelta tells whether this run is one that the configuration lets use
// deltas. A volume fresh from a snapshot reads slower than S3 delivers, so at a
// boot it has to be asked for.
func (r *run) mayUseDelta() bool {
	switch r.config.Install.Delta {
	case config.DeltaAlways:
		return true
	case config.DeltaSync:
		return r.report.Command == "sync" || r.report.Command == "plan"
	}
	return false
}

func deltaFrom(a artifacts.Artifact, version string) (artifacts.Delta, bool) {
	for _, d := range a.Deltas {
		if d.Base == version {
			return d, true
		}
	}
	return artifacts.Delta{}, false
}

// delta makes the release from one that is here. It is false where that was not
// possible, or did not work and the whole artifact may: a disk that is full or
// broken would take that one no better.
func (r *run) fromDelta(ctx context.Context, t target) (rel store.Release, done bool, err error) {
	a, err := t.artifact()
	if err != nil {
		return rel, true, err
	}
	u := r.bestDelta(a)
	if u == nil {
		return rel, false, nil
	}
	err = r.steps.Do(ctx, "delta", func(ctx context.Context, s *report.Span) error {
		s.Note("from " + u.Base.Version())
		rel, err = r.stage(ctx, t, a, u, s)
		return err
	})
	_, tooLarge := errors.AsType[*store.SpaceError](err)
	if err == nil || ctx.Err() != nil || errors.Is(err, store.ErrDisk) && !tooLarge {
		return rel, true, err
	}
	r.warn("no delta update from %s, the whole artifact is fetched: %v", u.Base.Version(), err)
	return rel, false, nil
}
