package store

import (
	"context"
	"errors"
	"fmt"
	"path"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// Verify reads a release's whole tree again and compares it with its index: the
// signed one where the manifest has one, else the one that was written while
// unpacking, whose hash is in the completion marker.
//
// Errors are artifacts.ErrIntegrity for an index that was altered, and
// [ErrDisk].
func (s *Store) Verify(ctx context.Context, r Release) (tree.Diff, error) {
	how, t, err := s.target(r)
	if err != nil {
		return tree.Diff{}, err
	}
	if err := s.openDirs(&t, path.Join(releasesDir, r.id)); err != nil {
		return tree.Diff{}, onDisk("verify", err)
	}
	defer closeDirs(t)
	diff, err := how.Verify(ctx, t)
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case !errors.Is(err, tree.ErrRefused):
		err = onDisk("verify", err)
	}
	return diff, err
}

// Changes is what a release would change in the tree of another, by their
// indexes; no file is read. The zero Release has an empty tree. a is one of the
// target's artifacts, and index its own, as [Input.Index].
func (s *Store) Changes(ctx context.Context, from Release, target *artifacts.VerifiedManifest, a artifacts.Artifact, index []byte) (tree.Diff, error) {
	var before []tree.Entry
	if from.id != "" {
		how, t, err := s.target(from)
		if err != nil {
			return tree.Diff{}, err
		}
		if before, err = how.Entries(ctx, t); err != nil {
			return tree.Diff{}, fmt.Errorf("index of %s: %w", from.Version(), err)
		}
	}
	m := target.Manifest()
	how, err := format.Of(a)
	if err != nil {
		return tree.Diff{}, err
	}
	after, err := how.Entries(ctx, format.Target{App: m.App, Artifact: a, Index: index})
	if err != nil {
		return tree.Diff{}, fmt.Errorf("index of %s: %w", m.Version, err)
	}
	return tree.Difference(before, after), nil
}

// target is an installed release with its index, verified. Its directories are
// not open.
func (s *Store) target(r Release) (format.Format, format.Target, error) {
	t := format.Target{App: r.App()}
	var err error
	if t.Artifact, err = r.Artifact(); err != nil {
		return nil, t, err
	}
	how, err := format.Of(t.Artifact)
	if err == nil && how.Info().Indexed {
		t.Index, err = s.readIndex(r, t.Artifact)
	}
	return how, t, err
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

// openDirs opens the directories of a release, which is at dir.
func (s *Store) openDirs(t *format.Target, dir string) (err error) {
	if t.Tree, err = s.root.OpenRoot(path.Join(dir, treeDir)); err != nil {
		return err
	}
	if t.Meta, err = s.root.OpenRoot(path.Join(dir, metaDir)); err != nil {
		return errors.Join(err, t.Tree.Close())
	}
	return nil
}

// closeDirs has no error to report: they are directory descriptors.
func closeDirs(t format.Target) {
	_ = t.Tree.Close()
	_ = t.Meta.Close()
}
