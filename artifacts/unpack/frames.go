package unpack

import (
	"context"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxFrame is the largest decoded size of a frame, and the largest window.
const MaxFrame = 16 << 20

// frameSlack lets the decoder copy in whole words up to the end of a buffer.
const frameSlack = 64

// A Frame is one independent zstd frame, or a piece of something else.
type Frame struct {
	Data    []byte
	Plain   int64  // bytes that a zstd frame decodes to
	Release func() // called once Data is not needed any more; may be nil
}

// Frames decodes frames in parallel and returns their plain bytes in order.
// next yields the frames, io.EOF after the last; it is called by one goroutine
// and must return when its context ends.
//
// A frame that is broken or does not decode to exactly Plain bytes is a
// [*RefusedError]; errors of next are passed on as they are. Memory is bounded
// by workers+2 buffers of the largest Plain.
//
// Close waits until every frame that next yielded is released.
func Frames(ctx context.Context, workers int, next func(context.Context) (Frame, error)) io.ReadCloser {
	workers = max(workers, 1)
	c := newConveyor(ctx, workers+2)
	c.work.Go(func() {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers),
			zstd.WithDecoderMaxWindow(MaxFrame), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			c.slot() <- filled{err: err}
			return
		}
		defer d.Close()
		c.decodeFrames(d, next)
	})
	return c
}

func (c *conveyor) decodeFrames(d *zstd.Decoder, next func(context.Context) (Frame, error)) {
	var decoding sync.WaitGroup
	defer decoding.Wait()
	for {
		buf, err := receive(c.ctx, c.free)
		if err != nil {
			return
		}
		frame, err := next(c.ctx)
		slot := c.slot()
		if err != nil {
			slot <- filled{err: err}
			return
		}
		decoding.Go(func() { slot <- frame.decode(d, buf) })
	}
}

func (f Frame) done() {
	if f.Release != nil {
		f.Release()
	}
}

// decode uses buf, or a larger one in its place.
func (f Frame) decode(d *zstd.Decoder, buf []byte) filled {
	defer f.done()
	if f.Plain > MaxFrame {
		return filled{err: refuse("", "a zstd frame of %d plain bytes, limit %d", f.Plain, MaxFrame)}
	}
	if int64(cap(buf)) < f.Plain+frameSlack {
		buf = make([]byte, 0, f.Plain+frameSlack)
	}
	plain, err := d.DecodeAll(f.Data, buf[:0])
	switch {
	case err != nil:
		return filled{err: refuse("", "zstd frame: %v", err)}
	case int64(len(plain)) != f.Plain:
		return filled{err: refuse("", "a zstd frame of %d plain bytes, not %d", len(plain), f.Plain)}
	}
	return filled{buf: plain}
}
