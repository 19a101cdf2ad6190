package store

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/unpack"
)

// DeltaUpdate makes a tree from a release that is here and what changed since.
type DeltaUpdate struct {
	Base  Release
	Delta artifacts.Delta // what [Input.Content] brings
}

// deltaTree makes the tree that the index describes. Every byte that lands in
// it was hashed as it landed.
func (s *Store) deltaTree(ctx context.Context, tree *os.Root, in Input) ([]unpack.Entry, error) {
	u, err := s.prepare(ctx, in)
	defer u.close()
	if err != nil {
		return nil, err
	}
	changes, err := delta.Open(u.object, u.size)
	if err != nil {
		return nil, err
	}
	a := newAssembly(u.base, changes)
	limits := unpack.Limits{Bytes: in.Artifact.UnpackedBytes, Entries: in.Artifact.Entries}
	err = unpack.Assemble(ctx, tree, u.entries, unpack.Parts{Base: u.base.tree, Find: a.find, Make: a.make}, unpack.Options{Limits: limits})
	if altered, ok := errors.AsType[*unpack.AlteredError](err); ok {
		err = u.base.altered(altered.Path, altered.Err)
	}
	return u.entries, err
}

// prepared is what a tree is assembled from.
type prepared struct {
	entries []unpack.Entry
	base    *base
	object  *os.File // the delta
	size    int64
}

// prepare reads both indexes while the delta comes. What it returns must be
// closed, with an error too.
func (s *Store) prepare(ctx context.Context, in Input) (*prepared, error) {
	u := &prepared{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		u.object, u.size, err = s.spool(ctx, in.Content)
		return err
	})
	group.Go(func() (err error) {
		u.base, err = s.openBase(in.Delta.Base)
		return err
	})
	group.Go(func() (err error) {
		u.entries, err = listed(in.Manifest.Manifest(), in.Artifact, in.Index)
		return err
	})
	return u, group.Wait()
}

// close has nothing to say: the base was only read, and the delta has no name.
func (u *prepared) close() {
	if u.object != nil {
		_ = u.object.Close()
	}
	if u.base != nil {
		_ = u.base.tree.Close()
	}
}

// spool keeps a delta in a file without a name until it is proven whole.
func (s *Store) spool(ctx context.Context, c Content) (f *os.File, size int64, err error) {
	name := stagingName("delta")
	f, err = s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, 0, err
	}
	p := &pieces{ctx: ctx, content: c}
	defer p.release()
	err = s.root.Remove(name)
	if err == nil {
		size, err = io.Copy(f, p)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}
