package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
)

// TryMount is [Store.CanMount], and then [Store.TryFormat].
func (s *Store) TryMount(ctx context.Context, a artifacts.Artifact) error {
	if err := s.CanMount(ctx, a); err != nil || a.Image == nil {
		return err
	}
	how, err := format.Of(a)
	if kind, ok := how.(format.Image); ok {
		return s.TryFormat(ctx, kind)
	}
	return err
}

// TryFormat is why images of a format are not mounted here. It mounts a small one, once:
// a kernel refuses one whose compression it does not have. Where such an image is
// mounted already, or none can be written to the disk, nothing is tried. It takes at
// most 10 seconds, and as long once more to clean up.
func (s *Store) TryFormat(ctx context.Context, kind format.Image) error {
	info := kind.Info()
	if err := s.Mounts.Can(ctx, info.Mount); err != nil {
		return err
	}
	s.staging.Lock()
	defer s.staging.Unlock()
	if why, known := s.tried[info.Name]; known {
		return why
	}
	if s.mounts(info.Name) {
		return nil
	}
	why := s.try(ctx, kind)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(why, ErrDisk) {
		return nil // the attempt says so, and whether it matters
	}
	s.remember(info.Name, why)
	return why
}

func (s *Store) remember(name artifacts.Format, why error) {
	if s.tried == nil {
		s.tried = map[artifacts.Format]error{}
	}
	s.tried[name] = why
}

// mounts reports whether the current release is an image of a format, and mounted.
func (s *Store) mounts(name artifacts.Format) bool {
	r, found, err := s.Current()
	if err != nil || !found {
		return false
	}
	if a, err := r.Artifact(); err != nil || a.Image == nil || a.Format != name {
		return false
	}
	is, mounted, err := s.Mounts.Mounted(r.dir)
	return err == nil && mounted && is == s.imagePath(r.id)
}

// tryTime is how long mounting a sample may take, and removing it: two modules may have to
// be loaded while the whole machine starts.
const tryTime = 10 * time.Second

// errSlow is a sample that was not mounted in time.
var errSlow = fmt.Errorf("a sample was not mounted within %v", tryTime)

// try mounts a sample in .staging, from where a later run removes it if this one is
// killed meanwhile.
func (s *Store) try(ctx context.Context, kind format.Image) (err error) {
	sample, err := kind.Sample()
	if err != nil {
		return err
	}
	name := stagingName("sample")
	defer func() { s.removeSample(ctx, name) }()
	if err := s.writeSample(name, sample); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tryTime, errSlow)
	defer cancel()
	at := filepath.Join(s.dir, name)
	err = s.mountAt(ctx, kind.Info().Mount, filepath.Join(at, format.ImageFile), filepath.Join(at, treeDir))
	if err != nil {
		return fmt.Errorf("a sample of it %w: %w", ErrMount, err)
	}
	return nil
}

// writeSample makes a directory in .staging, with an image and a place to mount it.
func (s *Store) writeSample(name string, sample []byte) error {
	return s.change("sample", func() error {
		if err := errors.Join(s.root.Mkdir(name, 0o755), s.root.Mkdir(path.Join(name, treeDir), 0o755)); err != nil {
			return err
		}
		dir, err := s.root.OpenRoot(name)
		if err != nil {
			return err
		}
		return errors.Join(dir.WriteFile(format.ImageFile, sample, 0o644), dir.Close())
	})
}

// removeSample leaves what it cannot remove in time to [Store.Prune].
func (s *Store) removeSample(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
	defer cancel()
	if s.unmount(ctx, name) == nil {
		_ = s.removeAll(ctx, name)
	}
}
