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
	how, err := format.Of(in.Artifact)
	if err != nil {
		return Release{}, err
	}
	if err := in.checkIndex(); err != nil {
		return Release{}, err
	}
	id := releaseID(in.Manifest.Manifest().Version, in.Manifest.SHA256())
	staged := stagingName(id)
	if err := s.build(ctx, id, staged, how, in); err != nil {
		return Release{}, errors.Join(err, s.discard(ctx, staged))
	}
	if err := s.publish(staged, id); err != nil {
		return Release{}, errors.Join(err, s.discard(ctx, staged))
	}
	return s.load(id)
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

// build makes the whole release in .staging, out of everyone's reach, and
// brings it to the disk.
func (s *Store) build(ctx context.Context, id, staged string, how format.Format, in Input) error {
	err := s.change("stage", func() error {
		for _, dir := range []string{staged, path.Join(staged, treeDir)} {
			if err := s.root.Mkdir(dir, 0o700); err != nil {
				return err
			}
		}
		return s.makeDir(path.Join(staged, metaDir))
	})
	if err != nil {
		return err
	}
	target := in.target()
	target.Window = s.Window
	if err := s.openDirs(&target, staged); err != nil {
		return onDisk("stage", err)
	}
	defer closeDirs(target)
	disk, err := startWriteBack(s.root, target.Tree)
	if err != nil {
		return onDisk("stage", err)
	}
	defer disk.close()
	in.Content = counted{in.Content, disk}
	entries, err := s.fill(ctx, how, target, in)
	if err != nil {
		return blame(ctx, err)
	}
	index, err := in.index(entries)
	if err != nil {
		return err
	}
	pointers := s.pointers(id, in)
	if err := s.change("write documents", func() error { return s.writeDocuments(staged, in, pointers, index) }); err != nil {
		return err
	}
	if err := s.change("sync the tree", disk.sync); err != nil {
		return err
	}
	return s.writeComplete(staged, in, index)
}

// writeComplete writes the marker that makes a directory a release.
func (s *Store) writeComplete(staged string, in Input, index []byte) error {
	newest, err := s.newestOrder()
	if err != nil {
		return err
	}
	m := in.Manifest.Manifest()
	return s.writeJSON(staged, completeFile, complete{
		App: m.App, Version: m.Version, ManifestSHA256: in.Manifest.SHA256(),
		OS: in.Artifact.OS, Arch: in.Artifact.Arch, Artifact: imageSum(in.Artifact), IndexSHA256: artifacts.Sum(index),
		Order: newest + 1, Installed: in.Seen.UTC(),
	})
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
