package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts/durable"
)

// writeDocuments puts everything but the marker into a staged release's meta/.
// It need not be durable yet: one sync of the whole release follows.
func (s *Store) writeDocuments(staged string, in Input, pointers []Sighting, index []byte) error {
	meta := path.Join(staged, metaDir)
	err := errors.Join(
		s.makeDir(path.Join(meta, pointersDir)),
		s.writePlain(path.Join(meta, manifestFile), in.Manifest.Envelope()),
		s.writePlain(path.Join(meta, indexFile), index),
	)
	for _, p := range pointers {
		data, e := json.Marshal(p.stored(), json.Deterministic(true))
		err = errors.Join(err, e, s.writePlain(path.Join(meta, pointersDir, p.Pointer.Pointer().Channel), append(data, '\n')))
	}
	return errors.Join(err, s.root.Chmod(path.Join(staged, treeDir), 0o755), s.root.Chmod(staged, 0o755))
}

// pointers is the pointer by which the release was asked for, and those of other
// channels to the release that it replaces.
func (s *Store) pointers(id string, in Input) (all []Sighting) {
	old, _ := s.load(id) // where there is no release there are none
	if in.Pointer == nil {
		return old.pointers
	}
	for _, p := range old.pointers {
		if p.Pointer.Pointer().Channel != in.Pointer.Pointer().Channel {
			all = append(all, p)
		}
	}
	return append(all, Sighting{Pointer: in.Pointer, Seen: in.Seen, Source: in.Source, ETag: in.ETag})
}

// makeDir makes a directory whose permissions do not depend on the umask.
func (s *Store) makeDir(name string) error {
	if err := s.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return s.root.Chmod(name, 0o755)
}

func (s *Store) writePlain(name string, data []byte) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// publish moves a finished release to where releases are.
func (s *Store) publish(ctx context.Context, staged, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	release := path.Join(releasesDir, id)
	if _, err := s.root.Lstat(release); err == nil {
		mounted, err := s.isMounted(release)
		if err == nil {
			err = s.unmount(ctx, release)
		}
		if err != nil {
			return onDisk("publish", err)
		}
		if mounted {
			defer s.mountAgain(ctx, id)
		}
		return s.exchange(staged, release) // the old one is garbage from now on
	} else if !errors.Is(err, fs.ErrNotExist) {
		return onDisk("publish", err)
	}
	return s.change("publish", func() error { return durable.Rename(s.root, staged, release) })
}

// discardTime is how long a run whose context has ended still removes what has come
// to nothing.
const discardTime = time.Second

// discard removes a release whose staging failed. What takes longer than
// discardTime after the end of the context is left to [Store.Prune].
func (s *Store) discard(ctx context.Context, staged string) error {
	if ctx.Err() == nil {
		return onDisk("discard", s.removeAll(ctx, staged))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	if err := s.removeAll(ctx, staged); ctx.Err() == nil {
		return onDisk("discard", err)
	}
	return nil
}

// removeAll removes a directory and what is in it, until the context ends: a tree
// may have a million entries.
func (s *Store) removeAll(ctx context.Context, dir string) error {
	if info, err := s.root.Lstat(dir); err != nil || !info.IsDir() { // to open a FIFO would wait
		return s.root.RemoveAll(dir)
	}
	top, err := s.root.OpenRoot(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(empty(ctx, top), top.Close()); err != nil {
		return err
	}
	return s.root.RemoveAll(dir) // and what came meanwhile
}

// empty removes what is in a directory.
func empty(ctx context.Context, dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	found, err := d.ReadDir(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, f := range found {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if f.IsDir() {
			sub, err := dir.OpenRoot(f.Name())
			if err != nil {
				return err
			}
			if err := errors.Join(empty(ctx, sub), sub.Close()); err != nil {
				return err
			}
		}
		if err := dir.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
