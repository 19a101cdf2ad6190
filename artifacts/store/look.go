package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
)

const (
	lookTimes = 16   // how many pieces of an image are read
	lookBytes = 4096 // of each
)

// Look is what is wrong with the image of a release that runs, as far as that can be seen
// at once: it is not mounted, has another size, or its disk fails. It reads some pieces
// of the image, and not from memory; [Store.Verify] reads all. nil for a tree.
//
// Errors: [ErrMount], artifacts.ErrIntegrity, [ErrDisk].
func (s *Store) Look(r Release) error {
	a, err := r.Artifact()
	if err != nil || a.Image == nil || s.Mounts == nil {
		return err
	}
	if err := s.lookAt(r.id, a.Image.Size); err != nil {
		return err
	}
	switch is, mounted, err := s.Mounts.Mounted(r.dir); {
	case err != nil:
		return onDisk("look at the mount", err)
	case !mounted:
		return fmt.Errorf("%w: the image of %s is not mounted", ErrMount, r.id)
	case is != s.imagePath(r.id):
		return fmt.Errorf("%w: what is mounted of %s is not its image", ErrMount, r.id)
	}
	return nil
}

func (s *Store) lookAt(id string, want int64) (err error) {
	name := path.Join(releasesDir, id, metaDir, format.ImageFile)
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return onDisk("read "+name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return onDisk("read "+name, err)
	}
	if info.Size() != want {
		return fmt.Errorf("%w: the image of %s has %d bytes, want %d", artifacts.ErrIntegrity, id, info.Size(), want)
	}
	piece := make([]byte, lookBytes)
	for i := range int64(lookTimes) {
		at := want / lookTimes * i
		_ = unix.Fadvise(int(f.Fd()), at, lookBytes, unix.FADV_DONTNEED) //nolint:gosec // a descriptor fits; else it is read from memory
		if _, err := f.ReadAt(piece, at); err != nil && err != io.EOF {  //nolint:errorlint // of a read
			return onDisk("read "+name, err)
		}
	}
	return nil
}
