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

// Mounts mounts images for the store. Paths are absolute and clean.
type Mounts interface {
	// Can is why images of this file system are not mounted here; nil = it is worth
	// to try.
	Can(ctx context.Context, filesystem string) error
	// Mount mounts an image at a directory, read-only, without devices and set-uid.
	Mount(ctx context.Context, filesystem, image, dir string) error
	// Unmount unmounts what is mounted there. What is still used stays for its users.
	Unmount(ctx context.Context, dir string) error
	// Mounted is the image that is mounted at a directory; "" where that is something
	// else, or an image that was removed or replaced. Of a directory that does not exist
	// nothing is mounted.
	Mounted(dir string) (image string, mounted bool, err error)
}

// ErrMount is the sentinel of an image that is not mounted where it has to be.
var ErrMount = errors.New("could not be mounted")

func onMount(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the image of %s %w: %w", id, ErrMount, err)
}

// CanMount is why an artifact cannot be mounted here, as far as that can be seen without
// mounting anything. It is nil for one that is unpacked.
func (s *Store) CanMount(ctx context.Context, a artifacts.Artifact) error {
	how, err := format.Of(a)
	if err != nil || a.Image == nil {
		return err
	}
	if s.Mounts == nil {
		return errors.New("images are not mounted here")
	}
	return s.Mounts.Can(ctx, how.Info().Mount)
}

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

// Mount makes the tree of a release ready: an image is mounted, unless it is. It
// must be called before each start of an app: a reboot unmounts all. Nothing is
// verified. The error is [ErrMount], or [ErrDisk].
func (s *Store) Mount(ctx context.Context, r Release) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mountOnce(ctx, r)
}

func (s *Store) mountOnce(ctx context.Context, r Release) error {
	a, err := r.Artifact()
	if err != nil || a.Image == nil {
		return err
	}
	how, err := format.Of(a)
	if err != nil {
		return err
	}
	if s.Mounts == nil {
		return onMount(r.id, errors.New("images are not mounted here"))
	}
	image := s.imagePath(r.id)
	is, mounted, err := s.Mounts.Mounted(r.dir)
	switch {
	case err != nil:
		return onMount(r.id, err)
	case mounted && is == image:
		return nil
	case mounted: // another one, which has been replaced meanwhile
		if err := s.Mounts.Unmount(ctx, r.dir); err != nil {
			return onMount(r.id, err)
		}
	}
	return s.mount(ctx, r, how.Info().Mount, image)
}

// againTime is how long that may take, also where a run is ending.
const againTime = 3 * time.Second

// mountAgain mounts what is at a release's place once its image was unmounted, since
// the app may still run: what it has open it has kept, and now it finds its files by
// their paths again. Why this fails [Store.Mount] returns, before the next start.
func (s *Store) mountAgain(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), againTime)
	defer cancel()
	if r, err := s.load(id); err == nil {
		_ = s.mountOnce(ctx, r)
	}
}

func (s *Store) mount(ctx context.Context, r Release, filesystem, image string) error {
	var failed error
	if err := s.change("mount", func() error { failed = s.mountAt(ctx, filesystem, image, r.dir); return nil }); err != nil {
		return err
	}
	if failed != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return onMount(r.id, failed)
}

// mountAt mounts, and looks whether that is what is there then.
func (s *Store) mountAt(ctx context.Context, filesystem, image, dir string) error {
	if err := s.Mounts.Mount(ctx, filesystem, image, dir); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	is, _, err := s.Mounts.Mounted(dir)
	if err == nil && is != image {
		err = errors.New("it was mounted, and is not what is there")
	}
	return err
}

func (s *Store) imagePath(id string) string {
	return filepath.Join(s.dir, releasesDir, id, metaDir, format.ImageFile)
}

// unmount makes the directory of a release free to be moved or removed.
func (s *Store) unmount(ctx context.Context, dir string) error {
	mounted, err := s.isMounted(dir)
	if err == nil && mounted {
		err = s.change("unmount", func() error { return s.Mounts.Unmount(ctx, s.mountPoint(dir)) })
	}
	return onDisk("unmount", err)
}

func (s *Store) isMounted(dir string) (mounted bool, err error) {
	if s.Mounts == nil {
		return false, nil
	}
	_, mounted, err = s.Mounts.Mounted(s.mountPoint(dir))
	return mounted, err
}

func (s *Store) mountPoint(dir string) string { return filepath.Join(s.dir, dir, treeDir) }
