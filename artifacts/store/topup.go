package store

import (
	"context"
	"errors"
	"io"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/unpack"
)

// TopUp makes a tree from a release that is here and what changed since.
type TopUp struct {
	Base  Release
	Delta artifacts.Delta // what [Input.Content] brings
}

// topUpTree makes the tree that the index describes. Every byte that lands in
// it was hashed as it landed.
func (s *Store) topUpTree(ctx context.Context, tree *os.Root, in Input) ([]unpack.Entry, error) {
	entries, err := listed(in.Manifest.Manifest(), in.Artifact, in.Index)
	if err != nil {
		return nil, err
	}
	object, size, err := s.spool(ctx, in.Content)
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Close() }() // it has no name and is only read
	changes, err := delta.Open(object, size)
	if err != nil {
		return nil, err
	}
	b, err := s.openBase(in.TopUp.Base)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.tree.Close() }() // only read
	a := newAssembly(b, changes)
	limits := unpack.Limits{Bytes: in.Artifact.UnpackedBytes, Entries: in.Artifact.Entries}
	err = unpack.Assemble(ctx, tree, entries, unpack.Parts{Base: b.tree, Find: a.find, Make: a.make}, unpack.Options{Limits: limits})
	if altered, ok := errors.AsType[*unpack.AlteredError](err); ok {
		err = b.altered(altered.Path, altered.Err)
	}
	return entries, err
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
