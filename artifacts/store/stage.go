package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// Content is the bytes of an artifact, in order, or in any order where its format is
// Direct. Only its io.EOF means that they are verified.
type Content interface {
	Next(ctx context.Context) (tree.Frame, error)
}

// Input is what a release is made from.
type Input struct {
	Manifest *artifacts.VerifiedManifest
	Artifact artifacts.Artifact         // one of the manifest's
	Pointer  *artifacts.VerifiedPointer // nil = asked for by version
	Seen     time.Time                  // when the pointer was read, or the release asked for
	Source   string                     // of the pointer, as in a [Sighting], and so with ETag
	ETag     string
	Index    []byte // what Artifact.Index points to; without one it is made while unpacking
	Content  Content
	Delta    *DeltaUpdate // then Content is its delta, and Artifact has an index or is a single file
	Repair   *Repair      // then Content is its chunks, nil where it has none
}

// Stage unpacks an artifact and makes it a release, complete and on the disk,
// but not current. A release of the same manifest is replaced, in one step:
// look for it with [Store.Find] before, and call [Store.MakeRoom] before anything
// is fetched.
//
// Any failure leaves all releases as they were. Errors are those of Content,
// as they are; for a delta update [*delta.BaseError], delta.ErrBase and delta.ErrMalformed;
// tree.ErrRefused for an archive that is not allowed;
// artifacts.ErrIntegrity for an index that is not the signed one; the cause of
// a context that has ended; and [ErrDisk].
func (s *Store) Stage(ctx context.Context, in Input) (Release, error) {
	s.staging.Lock()
	defer s.staging.Unlock()
	b, err := s.build(ctx, in, true)
	if err != nil {
		return Release{}, err
	}
	defer b.disk.close()
	err = s.finish(b, b.dir)
	if err == nil {
		err = s.publish(ctx, b.dir, b.id)
	}
	if err != nil {
		return Release{}, errors.Join(err, s.discard(ctx, b.dir))
	}
	return s.load(b.id)
}

// built is a whole and verified release in .staging, which need not be on the disk
// yet.
type built struct {
	id, dir  string
	marker   complete // that is still to be written
	pointers []Sighting
	disk     *writeBack // to be closed
}

func (in Input) checkIndex() error {
	signed := in.Artifact.Index
	if signed == nil {
		if in.Delta != nil && !format.Known(in.Artifact) {
			return errors.New("a delta update without an index")
		}
		return nil
	}
	return artifacts.CheckSum(signed.Key, in.Index, signed.Size, signed.SHA256)
}

// build makes the whole release but its marker in .staging, out of everyone's reach.
// Where that fails nothing is left of it. early is for one that is waited for until it is
// on the disk. It slows the making down, by a fifth on a fast disk and to less than half
// on a slow one: files are not made while their journal is written.
func (s *Store) build(ctx context.Context, in Input, early bool) (b *built, err error) {
	how, err := format.Of(in.Artifact)
	if err == nil {
		err = in.checkIndex()
	}
	if err != nil {
		return nil, err
	}
	id := releaseID(in.Manifest.Manifest().Version, in.Manifest.SHA256())
	b = &built{id: id, dir: stagingName(id)}
	if err := s.unpack(ctx, b, how, in, early); err != nil {
		if b.disk != nil {
			b.disk.close()
		}
		return nil, errors.Join(err, s.discard(ctx, b.dir))
	}
	return b, nil
}

func (s *Store) unpack(ctx context.Context, b *built, how format.Format, in Input, early bool) error {
	err := s.change("stage", func() error {
		for _, dir := range []string{b.dir, path.Join(b.dir, treeDir)} {
			if err := s.root.Mkdir(dir, 0o700); err != nil {
				return err
			}
		}
		return s.makeDir(path.Join(b.dir, metaDir))
	})
	if err != nil {
		return err
	}
	target := in.target()
	target.Window = s.Window
	if err := s.openDirs(&target, b.dir); err != nil {
		return onDisk("stage", err)
	}
	defer closeDirs(target)
	if b.disk, err = newWriteBack(s.root, target.Tree); err != nil {
		return onDisk("stage", err)
	}
	if early && !how.Info().Direct {
		b.disk.begin()
	}
	in.Content = counted{in.Content, b.disk}
	entries, err := s.fill(ctx, how, target, in)
	if err != nil {
		return blame(ctx, err)
	}
	index, err := in.index(entries)
	if err != nil {
		return err
	}
	seal, err := s.seal(ctx, how, target)
	if err != nil {
		return blame(ctx, err)
	}
	m := in.Manifest.Manifest()
	b.marker = complete{
		App: m.App, Version: m.Version, ManifestSHA256: in.Manifest.SHA256(),
		OS: in.Artifact.OS, Arch: in.Artifact.Arch, Artifact: imageSum(in.Artifact), IndexSHA256: artifacts.Sum(index), Seal: seal,
		Installed: in.Seen.UTC(),
	}
	b.pointers = s.pointers(b.id, in)
	return s.change("write documents", func() error { return s.writeDocuments(b.dir, in, b.pointers, index) })
}

// finish brings what was built to the disk, and then writes the marker that makes
// it a release into dir, where it is by now.
func (s *Store) finish(b *built, dir string) error {
	if err := s.change("sync the tree", b.disk.sync); err != nil {
		return err
	}
	newest, err := s.newestOrder()
	if err != nil {
		return err
	}
	b.marker.Order = newest + 1
	return s.writeJSON(dir, completeFile, b.marker)
}

// imageSum names an image, of which a platform may have several; zero for a tree.
func imageSum(a artifacts.Artifact) artifacts.Digest {
	if a.Image == nil {
		return artifacts.Digest{}
	}
	return a.SHA256
}

// fill makes the tree itself.
func (s *Store) fill(ctx context.Context, how format.Format, t format.Target, in Input) ([]tree.Entry, error) {
	switch {
	case in.Delta != nil:
		return s.applyDelta(ctx, how, t, in)
	case in.Repair != nil:
		return s.applyRepair(ctx, how, t, in)
	}
	return how.Stage(ctx, t, in.next)
}

func (in Input) target() format.Target {
	m := in.Manifest.Manifest()
	return format.Target{App: m.App, Artifact: in.Artifact, Created: m.Created, Index: in.Index}
}

// next marks the errors of the content on their way through parsers.
func (in Input) next(ctx context.Context) (tree.Frame, error) {
	f, err := in.Content.Next(ctx)
	if err != nil && err != io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
		err = &contentError{err}
	}
	return f, err
}

// index is the signed index, or else one of what was unpacked.
func (in Input) index(entries []tree.Entry) ([]byte, error) {
	if in.Artifact.Index != nil {
		return in.Index, nil
	}
	var index bytes.Buffer
	if err := tree.WriteIndex(&index, entries); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return index.Bytes(), nil
}
