package format

import (
	"context"
	"errors"
	"io"
	"runtime"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// archive is a compressed tar.
type archive struct {
	info Info
	open func(ctx context.Context, t Target, r *Reader) (io.ReadCloser, error) // its plain bytes
}

func openZstd(ctx context.Context, t Target, r *Reader) (io.ReadCloser, error) {
	if t.Artifact.Framed() {
		return unpack.Frames(ctx, runtime.NumCPU(), r.Next), nil
	}
	return unpack.Zstd(r, t.Window)
}

func openGzip(_ context.Context, t Target, r *Reader) (io.ReadCloser, error) {
	if t.Artifact.Framed() {
		return nil, tree.Refuse("", "zstd frames in a %s", t.Artifact.Format)
	}
	return unpack.Gzip(r)
}

func (f archive) Info() Info { return f.info }

func (archive) Space(a artifacts.Artifact) Space { return Space{a.UnpackedBytes, a.Entries} }

func (archive) Entries(ctx context.Context, t Target) ([]tree.Entry, error) {
	return tree.ReadIndex(ctx, t.Index, tree.MaxEntries)
}

func (f archive) Stage(ctx context.Context, t Target, next Next) ([]tree.Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := NewReader(ctx, next)
	defer r.Close()
	plain, err := f.open(ctx, t, r)
	if err != nil {
		return nil, err
	}
	entries, err := unpack.Tar(ctx, plain, t.Tree, t.Options())
	cancel() // a goroutine that still reads ahead must not delay Close
	err = errors.Join(err, plain.Close())
	if err == nil && !r.ended.Load() {
		err = tree.Refuse("", "the archive ends before the artifact does")
	}
	return entries, err
}

func (archive) Verify(ctx context.Context, t Target) (tree.Diff, error) {
	owner, err := ownerOf(t)
	if err != nil {
		return tree.Diff{}, err
	}
	return tree.VerifyIndex(ctx, t.Tree, owner, t.Index, tree.MaxEntries)
}

// ownerOf is who has to own the tree: the owner of its meta/, which only koboshi
// writes to.
func ownerOf(t Target) (int, error) {
	if t.Meta == nil {
		return tree.AnyOwner, nil
	}
	return tree.OwnerOf(t.Meta)
}

// Options are the limits of an artifact, and the times of its files. Files are
// hashed, and entries returned, only where there is no index that has them.
func (t Target) Options() tree.Options {
	a := t.Artifact
	return tree.Options{
		Limits: tree.Limits{Bytes: a.UnpackedBytes, Entries: a.Entries},
		Time:   t.Created, KeepTimes: a.KeepTimes,
		Hash: a.Index == nil, Bare: a.Index != nil,
	}
}
