package agent

import (
	"context"
	"errors"
	"runtime"

	"koboshi/agent/status"
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
	err = r.steps.Do(ctx, "resolve", func(ctx context.Context, s *status.Span) (err error) {
		t, err = r.resolve(ctx, s)
		return err
	})
	return t, err
}

func (r *run) verdict() status.Verdict {
	if r.installed {
		return status.Fresh
	}
	return status.Current
}

// bring makes t what serves: on the disk, under current, up and healthy. What
// already holds is not done again.
func (r *run) bring(ctx context.Context, t target) error {
	rel, err := r.install(ctx, t)
	if err != nil || r.up == rel.ID() {
		return err
	}
	return r.serve(ctx, rel)
}

// install puts the release beside the others, unless it is there.
func (r *run) install(ctx context.Context, t target) (store.Release, error) {
	rel, ok, err := r.Store.Find(t.manifest)
	if err != nil {
		return store.Release{}, err
	}
	if ok {
		return rel, r.Store.MarkSeen(rel, t.pointer, r.Now())
	}
	err = r.steps.Do(ctx, "install", func(ctx context.Context, s *status.Span) error {
		rel, err = r.stage(ctx, t, s)
		return err
	})
	r.installed = r.installed || err == nil
	return rel, err
}

func (r *run) stage(ctx context.Context, t target, s *status.Span) (rel store.Release, err error) {
	a, err := t.manifest.Manifest().Artifact(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return rel, err
	}
	if err := r.Store.CheckSpace(a); err != nil {
		return rel, err
	}
	s.SetTotal(a.Size)
	artifact, err := r.cloud.Releases.Artifact(ctx, a, s)
	if err != nil {
		return rel, err
	}
	defer func() { err = errors.Join(err, artifact.Close()) }()
	return r.Store.Stage(ctx, store.Input{
		Manifest: t.manifest, Artifact: a, Pointer: t.pointer, Seen: r.Now(),
		Index: artifact.Index, Content: artifact.Content,
	})
}
