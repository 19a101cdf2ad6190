package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"koboshi/agent/converge"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/store"
)

// RollbackOptions are the choices of a [Agent.Rollback].
type RollbackOptions struct {
	Hold    state.Hold // why, who, and for how long
	Version string     // to go back to; "" = the release before, and at the next rollback the one before that
}

// Rollback goes back to the previous release, by the same gate as any other, and
// sets a hold: without it the next sync would undo the rollback. A
// previous tree that was altered meanwhile is installed again. Where it does not
// pass the gate, the release that was running goes on, and nothing is held.
func (a *Agent) Rollback(ctx context.Context, o RollbackOptions) (report.Report, error) {
	ctx, stop := a.staying(ctx)
	defer stop()
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("rollback")
	defer r.close()
	if err := r.prepare(ctx, false); err != nil {
		return r.refuse(err)
	}
	if r.pooledHere() {
		return r.refuse(errPooled)
	}
	if err := r.discoverToStart(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	r.look(ctx)
	return r.end(r.rollBack(ctx, o))
}

func (r *run) rollBack(ctx context.Context, o RollbackOptions) converge.Outcome {
	before, had, err := r.before()
	if err != nil {
		return converge.Failed(ctx, err)
	}
	leaving, left := r.leaving()
	out := r.goBack(ctx, leaving, o.Version)
	if out.Err != nil {
		return r.SettleLive(ctx, out, before, had)
	}
	hold := o.Hold
	hold.Left = left
	if now, found := r.Current(); found && slices.Contains(left, now.ManifestSHA256().String()) && leaving != nil {
		hold.Left = []string{leaving.ManifestSHA256().String()} // forward again, by name
	}
	r.because(hold)
	r.state.Hold = &hold
	if err := r.saveState(); err != nil {
		return converge.Failed(ctx, err)
	}
	return converge.Outcome{Verdict: report.Held}
}

// leaving is the release that is rolled back from, nil where none is current, and
// what is left behind with it.
func (r *run) leaving() (current *store.Release, left []string) {
	left = slices.Clone(r.left())
	rel, found := r.Current()
	if !found {
		return nil, left
	}
	return &rel, append(left, rel.ManifestSHA256().String())
}

// goBack activates the release to go back to. A version that is on the disk is
// taken from there; any other is fetched.
func (r *run) goBack(ctx context.Context, leaving *store.Release, version string) converge.Outcome {
	var to store.Release
	var found bool
	var err error
	switch {
	case version == "":
		to, err = r.earlier(leaving)
		found = true
	case leaving != nil && version == leaving.Version():
		err = failure.WithHint(failure.Mark(fmt.Errorf("%s is current already", version), failure.ErrUsage), "koboshi hold keeps it")
	default:
		to, found, err = r.installed(version)
	}
	if err != nil {
		return converge.Failed(ctx, err)
	}
	if !found {
		r.Version = version
		return r.Follow(ctx)
	}
	if err := r.Reinstate(ctx, to); err != nil {
		return converge.Failed(ctx, err)
	}
	return converge.Outcome{}
}

// left are the manifests of what was rolled back from since the machine follows
// its channel no more.
func (r *run) left() []string {
	if !r.state.Hold.Active(r.Now()) {
		return nil
	}
	return r.state.Hold.Left
}

// earlier is the release that ran before: not one that was rolled back from, or
// a second rollback would go forward again.
func (r *run) earlier(leaving *store.Release) (store.Release, error) {
	left := r.left()
	previous, found, err := r.Store.Previous()
	if found && err == nil && !slices.Contains(left, previous.ManifestSHA256().String()) {
		return previous, nil
	}
	if err != nil || len(left) == 0 {
		return store.Release{}, errors.Join(store.ErrNoPrevious, err)
	}
	all, err := r.Store.Candidates(r.Instance.ID)
	if err != nil {
		return store.Release{}, err
	}
	var versions []string
	for _, rel := range all {
		was := slices.Contains(left, rel.ManifestSHA256().String())
		if was {
			versions = append(versions, rel.Version())
		}
		if !was && (leaving == nil || rel.ID() != leaving.ID()) && rel.HealthyOn(r.Instance.ID) {
			return rel, nil
		}
	}
	return store.Release{}, fmt.Errorf("%w; rolled back from since: %s", store.ErrNoPrevious, strings.Join(versions, ", "))
}

// installed is the release of a version that is on the disk.
func (r *run) installed(version string) (store.Release, bool, error) {
	all, err := r.Store.Candidates(r.Instance.ID)
	i := slices.IndexFunc(all, func(rel store.Release) bool { return rel.Version() == version })
	if err != nil || i < 0 {
		return store.Release{}, false, err
	}
	return all[i], true, nil
}
