package store

import (
	"context"
	"fmt"
	"path"
	"runtime"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// Verify reads a release's whole tree again and compares it with its index:
// the signed one where the manifest names one, else the one that was written
// while unpacking and that the completion marker holds the hash of.
//
// Errors are artifacts.ErrIntegrity for an index that was altered, and
// [ErrDisk].
func (s *Store) Verify(ctx context.Context, r Release) (tree.Diff, error) {
	how, entries, err := s.entriesOf(r)
	if err != nil {
		return tree.Diff{}, err
	}
	dir, err := s.root.OpenRoot(path.Join(releasesDir, r.id, treeDir))
	if err != nil {
		return tree.Diff{}, onDisk("verify", err)
	}
	defer func() { _ = dir.Close() }() // only read
	diff, err := how.Verify(ctx, dir, entries)
	if err != nil && ctx.Err() != nil {
		return diff, context.Cause(ctx)
	}
	return diff, onDisk("verify", err)
}

// Changes is what a release would change in the tree of another, by their
// indexes; no file is read. The zero Release has an empty tree. index is the
// target's own, as [Input.Index].
func (s *Store) Changes(from Release, target *artifacts.VerifiedManifest, index []byte) (tree.Diff, error) {
	var before []tree.Entry
	var err error
	if from.id != "" {
		if _, before, err = s.entriesOf(from); err != nil {
			return tree.Diff{}, err
		}
	}
	m := target.Manifest()
	a, err := m.Artifact(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return tree.Diff{}, err
	}
	how, err := format.Of(a)
	if err != nil {
		return tree.Diff{}, err
	}
	after, err := listed(how, m, a, index)
	if err != nil {
		return tree.Diff{}, err
	}
	return tree.Difference(before, after), nil
}

// entriesOf is what a release's tree must be.
func (s *Store) entriesOf(r Release) (format.Format, []tree.Entry, error) {
	m := r.manifest.Manifest()
	a, err := m.Artifact(r.made.OS, r.made.Arch)
	if err != nil {
		return nil, nil, err
	}
	how, err := format.Of(a)
	if err != nil {
		return nil, nil, err
	}
	var index []byte
	if how.Info().Indexed {
		if index, err = s.readIndex(r, a); err != nil {
			return nil, nil, err
		}
	}
	entries, err := listed(how, m, a, index)
	return how, entries, err
}

// readIndex reads the index of an installed release, and verifies it.
func (s *Store) readIndex(r Release, a artifacts.Artifact) ([]byte, error) {
	data, err := s.readMeta(r.id, indexFile, artifacts.MaxIndexBytes)
	if err != nil {
		return nil, onDisk("read the index of "+r.id, err)
	}
	want := artifacts.Blob{Key: "index of " + r.id, Size: int64(len(data)), SHA256: r.made.IndexSHA256}
	if a.Index != nil {
		want = *a.Index
	}
	return data, artifacts.CheckSum(want.Key, data, want.Size, want.SHA256)
}

// listed is what the tree of an artifact will be.
func listed(how format.Format, m artifacts.Manifest, a artifacts.Artifact, index []byte) ([]tree.Entry, error) {
	entries, err := how.Entries(m.App, a, index)
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", m.Version, err)
	}
	return entries, nil
}
