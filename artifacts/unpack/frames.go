package unpack

import (
	"context"
	"io"
	"sync"

	"koboshi/artifacts/tree"

	"github.com/klauspost/compress/zstd"
)

// MaxFrame is the largest decoded size of a frame, and the largest window.
const MaxFrame = 16 << 20

// frameSlack lets the decoder copy in whole words up to the end of a buffer.
const frameSlack = 64

// Frames decodes frames in parallel and returns their plain bytes in order.
// next yields the frames, io.EOF after the last; it is called by one goroutine
// and must return when its context ends.
//
// A frame that is broken or does not decode to exactly Plain bytes is a
// [*tree.RefusedError]; errors of next are passed on as they are. Memory is bounded
// by workers+2 buffers of the largest Plain.
//
// Close waits until every frame that next yielded is released.
func Frames(ctx context.Context, workers int, next func(context.Context) (tree.Frame, error)) io.ReadCloser {
	workers = max(workers, 1)
	out := newOrderedReader(ctx, workers+2)
	out.work.Go(func() {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers),
			zstd.WithDecoderMaxWindow(MaxFrame), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			out.slot() <- filled{err: err}
			return
		}
		defer d.Close()
		out.decodeFrames(d, next)
	})
	return out
}

func (r *orderedReader) decodeFrames(d *zstd.Decoder, next func(context.Context) (tree.Frame, error)) {
	var decoding sync.WaitGroup
	defer decoding.Wait()
	for {
		buf, err := receive(r.ctx, r.free)
		if err != nil {
			return
		}
		frame, err := next(r.ctx)
		slot := r.slot()
		if err != nil {
			slot <- filled{err: err}
			return
		}
		decoding.Go(func() { slot <- decode(d, frame, buf) })
	}
}

// decode uses buf, or a larger one in its place.
func decode(d *zstd.Decoder, f tree.Frame, buf []byte) filled {
	defer f.Done()
	if f.Plain > MaxFrame {
		return filled{err: tree.Refuse("", "a zstd frame of %d plain bytes, limit %d", f.Plain, MaxFrame)}
	}
	if int64(cap(buf)) < f.Plain+frameSlack {
		buf = make([]byte, 0, f.Plain+frameSlack)
	}
	plain, err := d.DecodeAll(f.Data, buf[:0])
	switch {
	case err != nil:
		return filled{err: tree.Refuse("", "zstd frame: %v", err)}
	case int64(len(plain)) != f.Plain:
		return filled{err: tree.Refuse("", "a zstd frame of %d plain bytes, not %d", len(plain), f.Plain)}
	}
	return filled{buf: plain}
}
