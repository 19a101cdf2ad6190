package publish

import (
	"context"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts"
)

// maxEncoders bounds memory: an encoder and its two buffers take about 40 MiB.
const maxEncoders = 16

// level is one that is worth its time. For the Go toolchain (245 MB, 2 cores):
// default 63.9 MB in 0.8 s, better 61.3 MB in 2.3 s, best 57.5 MB in 30 s, and
// the first two decode equally fast. It is spent once, and saved by every
// instance of a fleet.
const level = zstd.SpeedBetterCompression

// framer is a writer that cuts a stream into chunks and makes of each an
// independent zstd frame with its content size. Frames are encoded in parallel
// and sealed in order, so the bytes do not depend on the machine.
type framer struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	encoder *zstd.Encoder
	seal    *sealer
	free    chan *frame // as many as may be under way
	queue   chan *frame // in order; room for all, so it never blocks
	filling *frame
	work    sync.WaitGroup
}

type frame struct {
	plain, packed []byte
	ready         chan struct{} // closed once packed is there
}

func newFramer(ctx context.Context, seal *sealer) (*framer, error) {
	workers := min(runtime.GOMAXPROCS(0), maxEncoders)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(workers),
		zstd.WithWindowSize(artifacts.ChunkBytes), zstd.WithEncoderCRC(false)) // the SHA-256 of the chunk is checked first
	if err != nil {
		return nil, err
	}
	frames := workers + 2
	f := &framer{encoder: encoder, seal: seal, free: make(chan *frame, frames), queue: make(chan *frame, frames)}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	for range frames {
		f.free <- &frame{plain: make([]byte, 0, artifacts.ChunkBytes)}
	}
	f.work.Go(f.collect)
	return f, nil
}

// Write waits while all frames are under way.
func (f *framer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if f.filling == nil {
			select {
			case f.filling = <-f.free:
				f.filling.plain = f.filling.plain[:0]
			case <-f.ctx.Done():
				return written, context.Cause(f.ctx)
			}
		}
		plain := f.filling.plain
		n := min(len(p), cap(plain)-len(plain))
		f.filling.plain = append(plain, p[:n]...)
		if written, p = written+n, p[n:]; len(f.filling.plain) == cap(plain) {
			f.dispatch()
		}
	}
	return written, nil
}

func (f *framer) dispatch() {
	current := f.filling
	current.ready, f.filling = make(chan struct{}), nil
	f.queue <- current
	f.work.Go(func() {
		current.packed = f.encoder.EncodeAll(current.plain, current.packed[:0])
		close(current.ready)
	})
}

func (f *framer) collect() {
	for next := range f.queue {
		<-next.ready
		if f.ctx.Err() != nil {
			continue // only to wait for the rest
		}
		if err := f.seal.add(next.packed, len(next.plain)); err != nil {
			f.cancel(err)
		}
		f.free <- next
	}
}

// close encodes what is left and returns once everything is sealed, or with the
// first error. Without an error in sight the stream is to be complete.
func (f *framer) close() error {
	if f.filling != nil {
		f.dispatch()
	}
	close(f.queue)
	f.work.Wait()
	err := context.Cause(f.ctx)
	f.cancel(nil)
	return err
}
