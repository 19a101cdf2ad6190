package unpack

import (
	"context"
	"sync"
)

// An orderedReader reads buffers that other goroutines fill, in order. There is a
// fixed number of them: one that has been read is filled again.
type orderedReader struct {
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	queue  chan chan filled // in order; each receives one buffer once it is filled
	free   chan []byte
	work   sync.WaitGroup

	buf    []byte // being read
	unread []byte // the rest of it
	err    error
}

// filled is a buffer, and what ended the stream after it.
type filled struct {
	buf []byte
	err error // io.EOF or a failure; nothing comes after it
}

func newOrderedReader(ctx context.Context, buffers int) *orderedReader {
	ctx, cancel := context.WithCancel(ctx)
	r := &orderedReader{ctx: ctx, cancel: cancel, queue: make(chan chan filled, buffers), free: make(chan []byte, buffers)}
	for range buffers {
		r.free <- nil
	}
	return r
}

// slot reserves the next position in the order. There are as many as buffers,
// so it does not wait.
func (r *orderedReader) slot() chan<- filled {
	slot := make(chan filled, 1)
	r.queue <- slot
	return slot
}

// Read waits for the next buffer only when it has nothing else to give.
func (r *orderedReader) Read(p []byte) (int, error) {
	for len(r.unread) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.advance()
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

func (r *orderedReader) advance() {
	if r.buf != nil {
		r.free <- r.buf
		r.buf = nil
	}
	var next filled
	slot, err := receive(r.ctx, r.queue)
	if err == nil {
		next, err = receive(r.ctx, slot)
	}
	if err != nil {
		next.err = err
	}
	r.buf, r.unread, r.err = next.buf, next.buf, next.err
}

// Close stops the goroutines and waits for them, also for a running read of one
// of them.
func (r *orderedReader) Close() error {
	r.cancel()
	r.work.Wait()
	return nil
}

func receive[T any](ctx context.Context, from <-chan T) (T, error) {
	select {
	case what := <-from:
		return what, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
