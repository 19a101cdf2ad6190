package unpack

import (
	"context"
	"sync"
)

// A conveyor is the reading end of buffers that other goroutines fill. They
// come in order, and there is a fixed number of them: one that has been read
// goes back to be filled again.
type conveyor struct {
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	queue  chan chan filled // in order; each holds one buffer once it is filled
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

func newConveyor(ctx context.Context, buffers int) *conveyor {
	ctx, cancel := context.WithCancel(ctx)
	c := &conveyor{ctx: ctx, cancel: cancel, queue: make(chan chan filled, buffers), free: make(chan []byte, buffers)}
	for range buffers {
		c.free <- nil
	}
	return c
}

// slot reserves the next place in the order. There are as many as buffers, so
// it does not wait.
func (c *conveyor) slot() chan<- filled {
	slot := make(chan filled, 1)
	c.queue <- slot
	return slot
}

// Read waits for the next buffer only when it has nothing else to give.
func (c *conveyor) Read(p []byte) (int, error) {
	for len(c.unread) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.advance()
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *conveyor) advance() {
	if c.buf != nil {
		c.free <- c.buf
		c.buf = nil
	}
	var next filled
	slot, err := receive(c.ctx, c.queue)
	if err == nil {
		next, err = receive(c.ctx, slot)
	}
	if err != nil {
		next.err = err
	}
	c.buf, c.unread, c.err = next.buf, next.buf, next.err
}

// Close stops the goroutines and waits for them, and so for a read that one of
// them has under way.
func (c *conveyor) Close() error {
	c.cancel()
	c.work.Wait()
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
