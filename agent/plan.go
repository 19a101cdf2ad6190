package agent

import (
	"context"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// Plan is what a sync would do.
type Plan struct {
	Release   *report.Release // what serves; nil = nothing
	Target    *report.Release
	Held      string     // why the machine would stay where it is, "" = it would not
	Fetch     int64      // bytes; 0 where the target is installed
	DeltaFrom string     // version from which a delta makes the target; "" = the whole artifact is fetched
	Files     store.Diff // from what serves to the target
	Unknown   bool       // the target has no index: Files cannot be told
}

// Plan asks what a [Agent.Sync] with the same options would change, and changes
// nothing but the sequence that is believed.
func (a *Agent) Plan(ctx context.Context, o SyncOptions) (Plan, error) {
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("plan")
	unlock, err := r.lock(ctx, o.Wait)
	if err != nil {
		return Plan{}, err
	}
	defer unlock()
	r.pin = o.Version
	if err := r.discover(ctx); err != nil {
		return Plan{}, err
	}
	t, err := r.look(ctx)
	if err != nil {
		return Plan{}, err
	}
	return r.plan(ctx, t)
}

func (r *run) plan(ctx context.Context, t target) (Plan, error) {
	p := Plan{Target: r.report.Target}
	if reason, held := r.held(); held && r.pin == "" {
		p.Held = reason
	}
	a, err := t.artifact()
	if err != nil {
		return p, err
	}
	_, found, err := r.Store.Find(t.manifest)
	if err != nil {
		return p, err
	}
	if !found {
		p.Fetch = a.Size + sizeOf(a.Index)
		if u := r.bestDelta(a); u != nil {
			p.Fetch, p.DeltaFrom = u.Delta.Size+sizeOf(a.Index), u.Base.Version()
		}
	}
	current, serves := r.current()
	if serves {
		p.Release = r.describeInstalled(current)
	}
	if a.Index == nil && a.Format != artifacts.File {
		p.Unknown = true
		return p, nil
	}
	index, err := r.index(ctx, a)
	if err != nil {
		return p, err
	}
	p.Files, err = r.Store.Changes(current, t.manifest, index)
	return p, err
}

func sizeOf(b *artifacts.Blob) int64 {
	if b == nil {
		return 0
	}
	return b.Size
}
