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
		d, err := NewFrameDecoder(workers)
		if err != nil {
			out.slot() <- filled{err: err}
			return
		}
		defer d.Close()
		out.decodeFrames(d, next)
	})
	return out
}

// A FrameDecoder decodes frames, several at a time. It must be closed.
type FrameDecoder struct{ zstd *zstd.Decoder }

// NewFrameDecoder is for so many goroutines.
func NewFrameDecoder(workers int) (*FrameDecoder, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers),
		zstd.WithDecoderMaxWindow(MaxFrame), zstd.WithDecodeAllCapLimit(true))
	return &FrameDecoder{d}, err
}

// Close releases the decoder, which must not be in use.
func (d *FrameDecoder) Close() { d.zstd.Close() }

// Decode returns the plain bytes of a frame, which it releases: in buf, or where
// that is too small in a new one. Errors are those of [Frames].
func (d *FrameDecoder) Decode(f tree.Frame, buf []byte) ([]byte, error) {
	defer f.Done()
	if f.Plain > MaxFrame {
		return nil, tree.Refuse("", "a zstd frame of %d plain bytes, limit %d", f.Plain, MaxFrame)
	}
	if int64(cap(buf)) < f.Plain+frameSlack {
		buf = make([]byte, 0, f.Plain+frameSlack)
	}
	plain, err := d.zstd.DecodeAll(f.Data, buf[:0])
	switch {
	case err != nil:
		return nil, tree.Refuse("", "zstd frame: %v", err)
	case int64(len(plain)) != f.Plain:
		return nil, tree.Refuse("", "a zstd frame of %d plain bytes, not %d", len(plain), f.Plain)
	}
	return plain, nil
}

func (r *orderedReader) decodeFrames(d *FrameDecoder, next func(context.Context) (tree.Frame, error)) {
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
		decoding.Go(func() {
			plain, err := d.Decode(frame, buf)
			slot <- filled{buf: plain, err: err}
		})
	}
}
