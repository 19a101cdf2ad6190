package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
)

// Seals protects files from being altered: fs-verity.
type Seals interface {
	// Seal protects a file that is open for reading only, for good: no one can write to
	// it, and reading fails where the disk returns other bytes.
	Seal(f *os.File) error
	// Sealed is the digest by which a file is protected. Where it is not, that is an
	// error.
	Sealed(f *os.File) (digest string, err error)
}

// errUnsealed is an image that was installed without a seal.
var errUnsealed = errors.New("it was installed without, or its file system has none")

// seal protects an image, and then reads it once more: what is protected is what was
// published. The digest is "" for a tree, where no one asked for a seal, and where there
// can be none: [Store.Sealed] says so.
func (s *Store) seal(ctx context.Context, how format.Format, t format.Target) (digest string, err error) {
	if s.Seals == nil || t.Artifact.Image == nil {
		return "", nil
	}
	f, err := t.Meta.Open(format.ImageFile)
	if err != nil {
		return "", onDisk("seal", err)
	}
	defer func() { _ = f.Close() }() // only read
	var failed error
	err = s.change("seal", func() error {
		if failed = s.Seals.Seal(f); failed == nil {
			digest, failed = s.Seals.Sealed(f)
		}
		return nil
	})
	if err != nil || failed != nil {
		return "", err
	}
	diff, err := how.Verify(ctx, t)
	if err == nil && !diff.Clean() {
		err = fmt.Errorf("%w: the image was altered before it was sealed", artifacts.ErrIntegrity)
	}
	return digest, err
}

// Sealed reports whether the image of a release is protected, and is the one that was
// installed: then it need not be read to be proven. It is false for a tree, without
// a reason.
func (s *Store) Sealed(r Release) (sealed bool, why error) {
	if a, err := r.Artifact(); err != nil || a.Image == nil {
		return false, err
	}
	if s.Seals == nil {
		return false, errUnsealed
	}
	f, err := s.root.OpenFile(path.Join(releasesDir, r.id, metaDir, format.ImageFile), os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	digest, err := s.Seals.Sealed(f)
	switch {
	case err != nil:
		return false, err
	case r.made.Seal == "":
		return false, errUnsealed
	case digest != r.made.Seal:
		return false, fmt.Errorf("it is another file than the one that was installed (%s, not %s)", digest, r.made.Seal)
	}
	return true, nil
}

// TrySeal is why images are not sealed here. It seals a small file, and removes it.
func (s *Store) TrySeal(ctx context.Context) error {
	s.staging.Lock()
	defer s.staging.Unlock()
	name := stagingName("sample")
	defer func() { s.removeSample(ctx, name) }()
	if err := s.writeSample(name, []byte("a sample\n")); err != nil {
		return err
	}
	f, err := s.root.OpenFile(path.Join(name, format.ImageFile), os.O_RDONLY, 0)
	if err != nil {
		return onDisk("seal", err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := s.Seals.Seal(f); err != nil {
		return err
	}
	_, err = s.Seals.Sealed(f)
	return err
}
