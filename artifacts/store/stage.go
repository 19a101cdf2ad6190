package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/unpack"
)

// Content is the bytes of an artifact, in order. Only its io.EOF says that
// they are proven.
type Content interface {
	Next(ctx context.Context) (unpack.Frame, error)
}

// Input is what a release is made from.
type Input struct {
	Manifest *artifacts.VerifiedManifest
	Artifact artifacts.Artifact         // one of the manifest's
	Pointer  *artifacts.VerifiedPointer // nil = asked for by version
	Seen     time.Time                  // when the pointer was read, or the release asked for
	Index    []byte                     // what Artifact.Index names; without one it is made while unpacking
	Content  Content
	Delta    *DeltaUpdate // then Content is its delta, and Artifact has an index or is a single file
}

// Stage unpacks an artifact and makes it a release, complete and on the disk,
// but not current. A release of the same manifest is replaced, in one step:
// look for it with [Store.Find] before.
//
// Any failure leaves all releases as they were. Errors are those of Content,
// as they are; for a delta update [*BaseError], delta.ErrBase and delta.ErrMalformed;
// unpack.ErrRefused for an archive that is not allowed;
// artifacts.ErrIntegrity for an index that is not the signed one; the cause of
// a context that has ended; and [ErrDisk].
func (s *Store) Stage(ctx context.Context, in Input) (Release, error) {
	s.staging.Lock()
	defer s.staging.Unlock()
	if err := in.checkIndex(); err != nil {
		return Release{}, err
	}
	if err := s.makeRoom(ctx, in.needs()); err != nil {
		return Release{}, err
	}
	id := releaseID(in.Manifest.Manifest().Version, in.Manifest.SHA256())
	staged := stagingName(id)
	if err := s.build(ctx, id, staged, in); err != nil {
		return Release{}, errors.Join(err, s.discard(staged))
	}
	if err := s.publish(staged, id); err != nil {
		return Release{}, errors.Join(err, s.discard(staged))
	}
	return s.load(id)
}

func (in Input) checkIndex() error {
	signed := in.Artifact.Index
	if signed == nil {
		if in.Delta != nil && in.Artifact.Format != artifacts.File {
			return errors.New("a delta update without an index")
		}
		return nil
	}
	return artifacts.CheckSum(signed.Key, in.Index, signed.Size, signed.SHA256)
}

// needs is the artifact with what else will lie beside its tree for a while.
func (in Input) needs() artifacts.Artifact {
	a := in.Artifact
	if in.Delta != nil {
		a.UnpackedBytes += in.Delta.Delta.Size
	}
	return a
}

// makeRoom deletes before an install only where it cannot be helped: what a
// crash left in .staging may be all that is missing.
func (s *Store) makeRoom(ctx context.Context, a artifacts.Artifact) error {
	err := s.CheckSpace(a)
	if _, full := errors.AsType[*SpaceError](err); !full {
		return err
	}
	if err := s.sweep(ctx); err != nil {
		return err
	}
	return s.CheckSpace(a)
}

// build makes the whole release in .staging, out of everyone's reach, and
// brings it to the disk.
func (s *Store) build(ctx context.Context, id, staged string, in Input) error {
	err := s.change("stage", func() error {
		return errors.Join(s.root.Mkdir(staged, 0o700), s.root.Mkdir(path.Join(staged, treeDir), 0o700))
	})
	if err != nil {
		return err
	}
	tree, err := s.root.OpenRoot(path.Join(staged, treeDir))
	if err != nil {
		return onDisk("stage", err)
	}
	defer func() { _ = tree.Close() }() // a directory descriptor
	disk, err := startWriteBack(tree)
	if err != nil {
		return onDisk("stage", err)
	}
	defer disk.close()
	in.Content = counted{in.Content, disk}
	entries, err := s.fill(ctx, tree, in)
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
	newest, err := s.newestOrder()
	if err != nil {
		return err
	}
	m := in.Manifest.Manifest()
	return s.writeJSON(staged, completeFile, complete{
		App: m.App, Version: m.Version, ManifestSHA256: in.Manifest.SHA256(),
		OS: in.Artifact.OS, Arch: in.Artifact.Arch, IndexSHA256: artifacts.Sum(index),
		Order: newest + 1, Installed: in.Seen.UTC(),
	})
}

// fill makes the tree itself.
func (s *Store) fill(ctx context.Context, tree *os.Root, in Input) ([]unpack.Entry, error) {
	if in.Delta != nil {
		return s.deltaTree(ctx, tree, in)
	}
	return unpackTree(ctx, tree, in)
}

// index is the signed one, or else what has been unpacked.
func (in Input) index(entries []unpack.Entry) ([]byte, error) {
	if in.Artifact.Index != nil {
		return in.Index, nil
	}
	var index bytes.Buffer
	if err := unpack.WriteIndex(&index, entries); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return index.Bytes(), nil
}
