package converge

import (
	"context"
	"errors"
	"sync"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

// Install puts the release on the disk, unless it is there. With Force that is
// not enough: its tree must be what was published.
func (r *Run) Install(ctx context.Context, t Target) (store.Release, error) {
	rel, found, err := r.Store.Find(t.Manifest)
	if err != nil {
		return store.Release{}, err
	}
	if !found {
		return r.fetch(ctx, t)
	}
	if r.Force {
		if rel, err = r.verify(ctx, rel); err != nil {
			return rel, err
		}
	}
	if t.Pointer != nil {
		if err := r.Store.MarkSeen(rel, t.sighting()); err != nil {
			r.Warn("that channel %s points to %s could not be recorded: %v", r.Config.Channel, rel.Version(), err)
		}
	}
	return rel, nil
}

// fetch makes the release from the first artifact that works here: an image, where
// those are allowed and this machine mounts it, else the tree.
func (r *Run) fetch(ctx context.Context, t Target) (store.Release, error) {
	can := r.tryMount(ctx)
	for images := r.mountable(t, r.images(t), can); len(images) > 0; images = r.mountable(t, images[1:], can) {
		rel, err := r.fetchImage(ctx, t, images[0])
		if !errors.Is(err, store.ErrMount) {
			return rel, err
		}
		r.Warn("%v; another artifact is fetched", err)
	}
	if ctx.Err() != nil {
		return store.Release{}, context.Cause(ctx)
	}
	a, err := t.tree()
	if err != nil {
		return store.Release{}, err
	}
	return r.fetchTree(ctx, t, a)
}

// fetchImage makes the release from an image, and mounts it.
func (r *Run) fetchImage(ctx context.Context, t Target, a artifacts.Artifact) (rel store.Release, err error) {
	err = r.Steps.Do(ctx, "install", func(ctx context.Context, s *report.Span) error {
		s.Note(string(a.Format))
		if rel, err = r.stage(ctx, t, a, nil, s); err != nil {
			return err
		}
		return r.Store.Mount(ctx, rel)
	})
	if err != nil {
		return rel, err
	}
	return r.made(rel), nil
}

// fetchTree makes the release from an installed one and a delta, or else from the
// whole artifact.
func (r *Run) fetchTree(ctx context.Context, t Target, a artifacts.Artifact) (store.Release, error) {
	rel, done, err := r.fromDelta(ctx, t, a)
	if !done {
		err = r.Steps.Do(ctx, "install", func(ctx context.Context, s *report.Span) error {
			rel, err = r.stage(ctx, t, a, nil, s)
			return err
		})
	}
	if err != nil {
		return rel, err
	}
	return r.made(rel), nil
}

// stage fetches the artifact, or with an update its delta, and makes the release.
func (r *Run) stage(ctx context.Context, t Target, a artifacts.Artifact, u *store.DeltaUpdate, s *report.Span) (rel store.Release, err error) {
	err = r.stageBy(ctx, t, a, u, s, func(in store.Input) error {
		rel, err = r.Store.Stage(ctx, in)
		return err
	})
	return rel, err
}

func (r *Run) stageBy(ctx context.Context, t Target, a artifacts.Artifact, u *store.DeltaUpdate, s *report.Span, stage func(store.Input) error) (err error) {
	in := store.Input{Manifest: t.Manifest, Artifact: a, Pointer: t.Pointer, Seen: t.Seen, Source: t.Source, ETag: t.ETag, Delta: u}
	endTurn, err := r.Store.MakeRoom(ctx, in)
	if err != nil {
		return err
	}
	defer endTurn()
	asking, stop := context.WithCancel(ctx)
	defer stop()
	index := sync.OnceValues(func() ([]byte, error) { return r.index(asking, a) })
	object := a
	if u != nil {
		object = u.Delta.Object()
	} else if a.WantsChunks() {
		go func() { _, _ = index() }() // meanwhile
		if object, err = r.withChunks(ctx, a); err != nil {
			return err
		}
		in.Artifact = object
	}
	s.SetTotal(object.Size)
	content := patient{r.Artifacts.Open(ctx, object, r.Rate, s), r} // fetched while the index is read
	defer func() { err = errors.Join(err, content.Close()) }()
	in.Content = content
	if in.Index, err = index(); err != nil {
		return err
	}
	return stage(in)
}

// withChunks is the artifact with its chunks, which a release may have in an object of
// their own.
func (r *Run) withChunks(ctx context.Context, a artifacts.Artifact) (artifacts.Artifact, error) {
	if !a.WantsChunks() {
		return a, nil
	}
	ctx, cancel := r.impatient(ctx)
	defer cancel()
	list, err := r.Artifacts.Blob(ctx, *a.ChunkList)
	if err != nil {
		return a, Because(silence(ctx), err)
	}
	return a.WithChunks(list)
}

// index is the release's own, nil where it has none.
func (r *Run) index(ctx context.Context, a artifacts.Artifact) ([]byte, error) {
	if a.Index == nil {
		return nil, nil
	}
	ctx, cancel := r.impatient(ctx)
	defer cancel()
	data, err := r.Artifacts.Blob(ctx, *a.Index)
	return data, Because(silence(ctx), err)
}

// patient is content that is waited for no longer than the run's patience, each
// piece of it.
type patient struct {
	Content
	run *Run
}

// Next implements [store.Content].
func (p patient) Next(ctx context.Context) (tree.Frame, error) {
	ctx, cancel := p.run.impatient(ctx)
	defer cancel()
	frame, err := p.Content.Next(ctx)
	return frame, Because(silence(ctx), err)
}
