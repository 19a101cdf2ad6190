package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// A body that needs longer than stallTime for stallBytes is cut. It is far
// below what any useful link gives a connection, so that a slow link is not
// taken for a dead one.
const (
	stallBytes = 16 << 10
	stallTime  = 10 * time.Second
)

var errStalled = fmt.Errorf("stalled: less than %d bytes in %s", stallBytes, stallTime)

// watched is a body that ends with errStalled when it no longer moves.
type watched struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // the body's own, which stops its reads
	cancel context.CancelCauseFunc
	timer  *time.Timer
	moved  int // bytes since the timer was set
}

func watch(ctx context.Context, open func(context.Context) (io.ReadCloser, error)) (*watched, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	body, err := open(ctx)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	timer := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	return &watched{body: body, ctx: ctx, cancel: cancel, timer: timer}, nil
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if w.moved += n; w.moved >= stallBytes {
		w.moved = 0
		w.timer.Reset(stallTime)
	}
	if err != nil && !errors.Is(err, io.EOF) && w.ctx.Err() != nil {
		err = context.Cause(w.ctx)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.body.Close()
}
