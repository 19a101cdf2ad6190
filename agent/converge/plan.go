package converge

import (
	"context"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// Plan is what a run would change.
type Plan struct {
	Release   *report.Release // the current one; nil = none
	Target    *report.Release
	Rollout   *report.Rollout // nil = none is in the channel
	Fetch     int64           // bytes; 0 where the target is installed
	DeltaFrom string          // version from which a delta makes the target; "" = the whole artifact is fetched
	Files     tree.Diff       // from the current release to the target
	Unknown   bool            // the target has no index: Files is not known
}

// Plan asks what [Run.Follow] would change, and changes nothing but the sequence
// that was seen.
func (r *Run) Plan(ctx context.Context) (Plan, error) {
	t, err := r.Resolve(ctx)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Target: t.Describe(), Rollout: r.Rollout()}
	a, err := r.artifact(ctx, t)
	if err != nil {
		return p, err
	}
	_, found, err := r.Store.Find(t.Manifest)
	if err != nil {
		return p, err
	}
	if !found {
		p.Fetch = a.LaunchBytes()
		if u := r.bestDelta(a); u != nil {
			p.Fetch, p.DeltaFrom = u.Delta.Size+sizeOf(a.Index), u.Base.Version()
		}
	}
	current, found := r.Current()
	if found {
		p.Release = r.Describe(current)
	}
	if !format.Known(a) {
		p.Unknown = true
		return p, nil
	}
	index, err := r.index(ctx, a)
	if err != nil {
		return p, err
	}
	p.Files, err = r.Store.Changes(ctx, current, t.Manifest, a, index)
	return p, err
}

func sizeOf(b *artifacts.Blob) int64 {
	if b == nil {
		return 0
	}
	return b.Size
}
