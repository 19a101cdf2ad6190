package format

import (
	"context"
	"io"
	"sync/atomic"

	"koboshi/artifacts/tree"
)

// A Reader reads frames as one stream.
type Reader struct {
	ctx   context.Context //nolint:containedctx // an io.Reader has no other
	next  Next
	ended atomic.Bool // next has yielded io.EOF
	frame tree.Frame
	rest  []byte
}

// NewReader reads what next yields. The reader must be closed.
func NewReader(ctx context.Context, next Next) *Reader { return &Reader{ctx: ctx, next: next} }

// Next is the next frame. It must not be mixed with Read.
func (r *Reader) Next(ctx context.Context) (tree.Frame, error) {
	f, err := r.next(ctx)
	if err == io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
		r.ended.Store(true)
	}
	return f, err
}

func (r *Reader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		r.Close()
		f, err := r.Next(r.ctx)
		if err != nil {
			return 0, err
		}
		r.frame, r.rest = f, f.Data
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close releases the frame that is being read.
func (r *Reader) Close() {
	r.frame.Done()
	r.frame, r.rest = tree.Frame{}, nil
}
