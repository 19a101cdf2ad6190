package format

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// archive is a compressed tar.
type archive struct {
	info Info
	open func(ctx context.Context, a artifacts.Artifact, r *Reader) (io.ReadCloser, error) // its plain bytes
}

func openZstd(ctx context.Context, a artifacts.Artifact, r *Reader) (io.ReadCloser, error) {
	if a.Framed() {
		return unpack.Frames(ctx, runtime.NumCPU(), r.Next), nil
	}
	return unpack.Zstd(r)
}

func openGzip(_ context.Context, a artifacts.Artifact, r *Reader) (io.ReadCloser, error) {
	if a.Framed() {
		return nil, tree.Refuse("", "zstd frames in a %s", a.Format)
	}
	return unpack.Gzip(r)
}

func (f archive) Info() Info { return f.info }

func (archive) Space(a artifacts.Artifact) Space { return Space{a.UnpackedBytes, a.Entries} }

func (archive) Entries(_ string, _ artifacts.Artifact, index []byte) ([]tree.Entry, error) {
	return tree.ReadIndex(index, tree.MaxEntries)
}

func (f archive) Stage(ctx context.Context, dir *os.Root, _ string, a artifacts.Artifact, next Next) ([]tree.Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := NewReader(ctx, next)
	defer r.Close()
	plain, err := f.open(ctx, a, r)
	if err != nil {
		return nil, err
	}
	entries, err := unpack.Tar(ctx, plain, dir, options(a))
	cancel() // what still reads ahead must not hold up Close
	err = errors.Join(err, plain.Close())
	if err == nil && !r.ended.Load() {
		err = tree.Refuse("", "the archive ends before the artifact does")
	}
	return entries, err
}

func (archive) Verify(ctx context.Context, dir *os.Root, entries []tree.Entry) (tree.Diff, error) {
	return tree.Verify(ctx, dir, entries)
}

// options are the limits of an artifact. Its files are hashed only where no
// index has their hashes.
func options(a artifacts.Artifact) tree.Options {
	return tree.Options{Limits: tree.Limits{Bytes: a.UnpackedBytes, Entries: a.Entries}, Hash: a.Index == nil}
}
