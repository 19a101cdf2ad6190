package store

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"koboshi/artifacts"
	"koboshi/artifacts/unpack"
)

// unpackTree makes a tree of an artifact's content, and returns only when all
// of the content has been taken and proven.
func unpackTree(ctx context.Context, tree *os.Root, in Input) ([]unpack.Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pieces{ctx: ctx, content: in.Content}
	defer p.release()
	plain, err := p.plain(in.Artifact)
	if err != nil {
		cancel()
		return nil, err
	}
	entries, err := in.unpack(ctx, plain, tree)
	cancel() // what still reads ahead must not hold up Close
	err = errors.Join(err, plain.Close())
	if err == nil && !p.ended.Load() {
		err = &unpack.RefusedError{Reason: "the archive ends before the artifact does"}
	}
	return entries, err
}

func (in Input) unpack(ctx context.Context, plain io.Reader, tree *os.Root) ([]unpack.Entry, error) {
	a := in.Artifact
	opt := unpack.Options{
		Limits: unpack.Limits{Bytes: a.UnpackedBytes, Entries: a.Entries},
		Hash:   a.Index == nil,
	}
	if a.Format == artifacts.File {
		return unpack.File(ctx, plain, tree, in.Manifest.Manifest().App, opt)
	}
	return unpack.Tar(ctx, plain, tree, opt)
}

// pieces reads content as one stream, and knows whether it came to its end.
type pieces struct {
	ctx     context.Context //nolint:containedctx // an io.Reader has no other
	content Content
	ended   atomic.Bool
	frame   unpack.Frame
	rest    []byte
}

// plain is the stream that an artifact's format holds.
func (p *pieces) plain(a artifacts.Artifact) (io.ReadCloser, error) {
	switch {
	case a.Framed():
		return unpack.Frames(p.ctx, runtime.NumCPU(), p.next), nil
	case a.Format == artifacts.TarZst:
		return unpack.Zstd(p)
	case a.Format == artifacts.TarGz:
		return unpack.Gzip(p)
	}
	return io.NopCloser(p), nil
}

func (p *pieces) next(ctx context.Context) (unpack.Frame, error) {
	f, err := p.content.Next(ctx)
	if err == io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
		p.ended.Store(true)
		return f, err
	}
	if err != nil {
		return f, &contentError{err}
	}
	return f, nil
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		p.release()
		f, err := p.next(p.ctx)
		if err != nil {
			return 0, err
		}
		p.frame, p.rest = f, f.Data
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pieces) release() {
	if p.frame.Release != nil {
		p.frame.Release()
	}
	p.frame, p.rest = unpack.Frame{}, nil
}
