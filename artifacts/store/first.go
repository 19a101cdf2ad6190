package store

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"koboshi/artifacts/durable"
)

// Staged is a release that is whole and verified, and where it belongs, but not yet
// on the disk: it has no completion marker, so that after a power cut it is none.
// [Staged.Settle] makes it one.
type Staged struct {
	facts
	store *Store
	built *built
}

// First reports whether nothing was ever current here.
func (s *Store) First() (bool, error) {
	_, err := s.root.Lstat(currentLink)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, onDisk("read "+currentLink, err)
}

// StageFirst is [Store.Stage] without waiting for the disk, for the first release of
// a machine: what was current before would have to wait for it. [Staged.Settle] must
// be called in any case.
func (s *Store) StageFirst(ctx context.Context, in Input) (*Staged, error) {
	s.staging.Lock()
	defer s.staging.Unlock()
	b, err := s.build(ctx, in, false)
	if err != nil {
		return nil, err
	}
	if err := s.place(ctx, b.dir, b.id); err != nil {
		b.disk.close()
		return nil, errors.Join(err, s.discard(ctx, b.dir))
	}
	return &Staged{facts{id: b.id, dir: s.treePath(b.id), made: b.marker, manifest: in.Manifest, pointers: b.pointers}, s, b}, nil
}

// place is publish without an fsync, which would wait for the whole tree. What a
// crash has left in its place is replaced.
func (s *Store) place(ctx context.Context, staged, id string) error {
	release := path.Join(releasesDir, id)
	if _, err := s.root.Lstat(release); !errors.Is(err, fs.ErrNotExist) {
		return s.publish(ctx, staged, id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change("place", func() error { return s.root.Rename(staged, release) })
}

// Show makes the release current for an app that is started from it now. Neither is
// on the disk yet: once the release is settled, [Store.Activate] has to follow.
func (r *Staged) Show() error {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change("show", func() error { return s.root.Symlink(linkTo(r.id), currentLink) })
}

// Settle waits until the release is on the disk and makes it complete. It is called
// once; other methods may be called meanwhile. The error is [ErrDisk]: then the
// release counts as none, for good.
func (r *Staged) Settle() (Release, error) {
	defer r.built.disk.close()
	if err := r.store.finish(r.built, path.Join(releasesDir, r.id)); err != nil {
		return Release{}, err
	}
	return r.store.load(r.id)
}

// Withdraw is for a release that could not be settled: it is not current any more.
func (r *Staged) Withdraw() error {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.linked(currentLink, r.id) {
		return nil
	}
	return s.change("withdraw", func() error { return durable.Remove(s.root, currentLink) })
}
