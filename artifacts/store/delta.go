package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// DeltaUpdate makes a tree from an installed release and what changed since.
type DeltaUpdate struct {
	Base  Release
	Delta artifacts.Delta // the object that [Input.Content] yields
}

// applyDelta makes the tree that the index describes. It reads both indexes
// while the delta is being fetched.
func (s *Store) applyDelta(ctx context.Context, how format.Format, t format.Target, in Input) (entries []tree.Entry, err error) {
	var object *os.File
	var size int64
	var base delta.Tree
	defer func() {
		if object != nil {
			_ = object.Close() // it has no name
		}
		if base.Root != nil {
			_ = base.Root.Close() // only read
		}
	}()
	reading, ctx2 := errgroup.WithContext(ctx)
	reading.Go(func() (err error) {
		object, size, err = s.spool(ctx2, in.next)
		return err
	})
	reading.Go(func() (err error) {
		base, err = s.openBase(ctx, in.Delta.Base)
		return err
	})
	reading.Go(func() (err error) {
		entries, err = how.Entries(ctx, t)
		return err
	})
	if err := reading.Wait(); err != nil {
		return nil, err
	}
	changes, err := delta.Open(object, size)
	if err != nil {
		return nil, err
	}
	return entries, changes.Apply(ctx, t.Tree, entries, base, t.Options())
}

// openBase verifies the index of an installed release by its marker only: each
// file that is used is hashed.
func (s *Store) openBase(ctx context.Context, r Release) (base delta.Tree, err error) {
	how, t, err := s.target(r)
	if err == nil {
		base.Entries, err = how.Entries(ctx, t)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return base, context.Cause(ctx) // nothing is known of the base
	default:
		return base, &delta.BaseError{Path: indexFile, Err: err}
	}
	if base.Root, err = s.root.OpenRoot(path.Join(releasesDir, r.id, treeDir)); err != nil {
		return base, &delta.BaseError{Path: ".", Err: err}
	}
	return base, nil
}

// spool keeps a delta in a file without a name until all of it is verified.
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
