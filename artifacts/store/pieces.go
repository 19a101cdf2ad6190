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
	defer cancel()
	p := &pieces{ctx: ctx, content: in.Content}
	a := in.Artifact
	opt := unpack.Options{Limits: unpack.Limits{Bytes: a.UnpackedBytes, Entries: a.Entries}, Hash: a.Index == nil}
	if a.Format == artifacts.File {
		app := in.Manifest.Manifest().App
		return []unpack.Entry{executable(app, a)}, unpack.File(ctx, p.next, tree, app, opt)
	}
	defer p.release()
	plain, err := p.plain(a)
	if err != nil {
		return nil, err
	}
	entries, err := unpack.Tar(ctx, plain, tree, opt)
	cancel() // what still reads ahead must not hold up Close
	err = errors.Join(err, plain.Close())
	if err == nil && !p.ended.Load() {
		err = &unpack.RefusedError{Reason: "the archive ends before the artifact does"}
	}
	return entries, err
}

// pieces reads content as one stream, and knows whether it came to its end.
type pieces struct {
	ctx     context.Context //nolint:containedctx // an io.Reader has no other
	content Content
	ended   atomic.Bool
	frame   unpack.Frame
	rest    []byte
}

// plain is the tar stream that an archive holds.
func (p *pieces) plain(a artifacts.Artifact) (io.ReadCloser, error) {
	switch {
	case a.Framed():
		return unpack.Frames(p.ctx, runtime.NumCPU(), p.next), nil
	case a.Format == artifacts.TarZst:
		return unpack.Zstd(p)
	default:
		return unpack.Gzip(p)
	}
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
