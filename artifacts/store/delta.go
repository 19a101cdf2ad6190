package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// DeltaUpdate makes a tree from a release that is here and what changed since.
type DeltaUpdate struct {
	Base  Release
	Delta artifacts.Delta // what [Input.Content] brings
}

// deltaTree makes the tree that the index describes. It reads both indexes
// while the delta is being fetched.
func (s *Store) deltaTree(ctx context.Context, dir *os.Root, how format.Format, in Input) (entries []tree.Entry, err error) {
	var object *os.File
	var size int64
	base := delta.Tree{}
	defer func() {
		if object != nil {
			_ = object.Close() // it has no name
		}
		if base.Root != nil {
			_ = base.Root.Close() // only read
		}
	}()
	group, ctx2 := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		object, size, err = s.spool(ctx2, in.next)
		return err
	})
	group.Go(func() (err error) {
		base, err = s.openBase(in.Delta.Base)
		return err
	})
	group.Go(func() (err error) {
		entries, err = listed(how, in.Manifest.Manifest(), in.Artifact, in.Index)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	changes, err := delta.Open(object, size)
	if err != nil {
		return nil, err
	}
	limits := tree.Limits{Bytes: in.Artifact.UnpackedBytes, Entries: in.Artifact.Entries}
	return entries, changes.Apply(ctx, dir, entries, base, limits)
}

// openBase trusts the index of an installed release no further than its marker
// does: each file that is used is hashed.
func (s *Store) openBase(r Release) (base delta.Tree, err error) {
	data, err := s.readMeta(r.id, indexFile, artifacts.MaxIndexBytes)
	if err == nil {
		err = artifacts.CheckSum(indexFile, data, int64(len(data)), r.made.IndexSHA256)
	}
	if err != nil {
		return base, &delta.BaseError{Path: indexFile, Err: err}
	}
	if base.Entries, err = tree.ReadIndex(data, tree.MaxEntries); err != nil {
		return base, fmt.Errorf("index of %s: %w", r.Version(), err)
	}
	if base.Root, err = s.root.OpenRoot(path.Join(releasesDir, r.id, treeDir)); err != nil {
		return base, &delta.BaseError{Path: ".", Err: err}
	}
	return base, nil
}

// spool keeps a delta in a file without a name until it is verified whole.
func (s *Store) spool(ctx context.Context, next format.Next) (f *os.File, size int64, err error) {
	name := stagingName("delta")
	f, err = s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, 0, err
	}
	r := format.NewReader(ctx, next)
	defer r.Close()
	err = s.root.Remove(name)
	if err == nil {
		size, err = io.Copy(f, r)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}
