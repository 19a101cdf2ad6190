package store

import (
	"context"
	"errors"
	"fmt"
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

// errNoMounts is a store that was opened without Mounts.
var errNoMounts = errors.New("images are not mounted here")

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
		return errNoMounts
	}
	return s.Mounts.Can(ctx, how.Info().Mount)
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
		return onMount(r.id, errNoMounts)
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
