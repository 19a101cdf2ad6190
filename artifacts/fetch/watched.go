package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// A body that needs longer than stallTime for stallBytes is cut. That rate is
// far below that of any useful link, so that a slow link is not taken for a dead
// one. Only time in which a Read waits for bytes counts, not that of a slow
// reader, such as one with a rate limit.
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
	left   time.Duration // that the next stallBytes may still take
	moved  int           // bytes of them
}

// watch watches a body that was opened with ctx, which cancel ends.
func watch(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser) *watched {
	timer := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	timer.Stop() // until Read
	return &watched{body: body, ctx: ctx, cancel: cancel, timer: timer, left: stallTime}
}

func (w *watched) Read(p []byte) (int, error) {
	began := time.Now()
	w.timer.Reset(w.left)
	n, err := w.body.Read(p)
	w.timer.Stop()
	w.left -= time.Since(began)
	if w.moved += n; w.moved >= stallBytes {
		w.moved, w.left = 0, stallTime
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
