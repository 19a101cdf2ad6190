package agent

import (
	"context"
	"errors"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// maxRounds bounds how often a run follows a channel that keeps moving. After
// the last one the newest release that passed the gate is good enough.
const maxRounds = 3

// converge brings the machine to what the channel names, and looks again before
// it says so: a release promoted meanwhile is the one to come into service.
func (r *run) converge(ctx context.Context) outcome {
	t, err := r.look(ctx)
	for round := 1; err == nil; round++ {
		if err = r.bring(ctx, t); err != nil {
			break
		}
		r.force = false // once is enough
		r.jitterContinue(ctx)
		next, moved := r.moved(ctx, t)
		if !moved || round == maxRounds {
			return outcome{verdict: r.verdict()}
		}
		t, err = r.manifest(ctx, next)
	}
	return failed(err)
}

// look is the first step of every run that asks the channel.
func (r *run) look(ctx context.Context) (t target, err error) {
	err = r.steps.Do(ctx, "resolve", func(ctx context.Context, s *report.Span) (err error) {
		t, err = r.resolve(ctx, s)
		return err
	})
	return t, err
}

func (r *run) verdict() report.Verdict {
	if r.installed {
		return report.Fresh
	}
	return report.Current
}

// bring makes t what serves: on the disk, under current, up and healthy. What
// already holds is not done again.
func (r *run) bring(ctx context.Context, t target) error {
	rel, err := r.install(ctx, t)
	if err != nil || r.up == rel.ID() && !r.force {
		return err
	}
	return r.serve(ctx, rel)
}

// install puts the release beside the others, unless it is there. With force
// being there is not enough: the tree has to be what was published.
func (r *run) install(ctx context.Context, t target) (store.Release, error) {
	rel, found, err := r.Store.Find(t.manifest)
	if err != nil {
		return store.Release{}, err
	}
	if found && (!r.force || r.intact(ctx, rel)) {
		return rel, r.seen(rel, t)
	}
	rel, done, err := r.fromDelta(ctx, t)
	if !done {
		rel, err = r.fetch(ctx, t)
	}
	r.installed = r.installed || err == nil
	return rel, err
}

// seen records that the channel still names the release, where it was asked.
func (r *run) seen(rel store.Release, t target) error {
	if t.pointer == nil {
		return nil
	}
	return r.Store.MarkSeen(rel, t.pointer, r.Now())
}

// intact hashes a tree again. One that cannot be held against its index is as
// good as altered.
func (r *run) intact(ctx context.Context, rel store.Release) bool {
	var diff store.Diff
	err := r.steps.Do(ctx, "verify", func(ctx context.Context, _ *report.Span) (err error) {
		diff, err = r.Store.Verify(ctx, rel)
		return err
	})
	if err != nil {
		r.warn("%s could not be verified and is installed again: %v", rel.Version(), err)
		return false
	}
	if !diff.Clean() {
		r.warn("%s was changed here and is installed again: %d altered, %d added, %d removed",
			rel.Version(), len(diff.Altered), len(diff.Added), len(diff.Removed))
	}
	return diff.Clean()
}

// fetch installs the whole artifact.
func (r *run) fetch(ctx context.Context, t target) (rel store.Release, err error) {
	err = r.steps.Do(ctx, "install", func(ctx context.Context, s *report.Span) error {
		a, err := t.artifact()
		if err != nil {
			return err
		}
		rel, err = r.stage(ctx, t, a, nil, s)
		return err
	})
	return rel, err
}

// stage brings the artifact, or with a delta update the delta, and makes the release.
func (r *run) stage(ctx context.Context, t target, a artifacts.Artifact, u *store.DeltaUpdate, s *report.Span) (rel store.Release, err error) {
	if err := r.Store.CheckSpace(a); err != nil {
		return rel, err
	}
	object := a
	if u != nil {
		object = u.Delta.Object()
	}
	s.SetTotal(object.Size)
	content := r.cloud.Artifacts.Open(ctx, object, r.rate, s) // on its way while the index is read
	defer func() { err = errors.Join(err, content.Close()) }()
	index, err := r.index(ctx, a)
	if err != nil {
		return rel, err
	}
	return r.Store.Stage(ctx, store.Input{
		Manifest: t.manifest, Artifact: a, Pointer: t.pointer, Seen: r.Now(), Index: index, Content: content, Delta: u,
	})
}

// index is the release's own, nil where it has none.
func (r *run) index(ctx context.Context, a artifacts.Artifact) ([]byte, error) {
	if a.Index == nil {
		return nil, nil
	}
	return r.cloud.Artifacts.Blob(ctx, *a.Index)
}
