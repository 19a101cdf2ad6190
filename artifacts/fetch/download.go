package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

var (
	errClosed = errors.New("the download is closed")
	errEmpty  = errors.New("an artifact of no bytes")
)

// Download is an artifact that is being fetched: workers read parts of it ahead, into a
// fixed number of slots, and Next hands out its pieces, in order unless AnyOrder is set.
type Download struct {
	a       artifacts.Artifact
	object  *object
	options Options

	ctx     context.Context //nolint:containedctx // of the workers; its cause is why they stopped
	stop    context.CancelCauseFunc
	workers sync.WaitGroup
	slots   *slots
	release func() error // drops the download's own reference to the slots, once

	mu      sync.Mutex
	plan    *plan
	pending int        // parts that are planned and not yet in the queue
	queue   chan *part // for Next; in order from the moment they are planned, else once they are read; closed after the last

	sum     hash.Hash // of an artifact without chunks; in the hands of the part that is being hashed
	current *part     // that Next is handing out
}

// Open begins to read an artifact. Where a source fails in the middle, the next
// one is asked for the rest: all bytes are compared with the same hashes,
// whatever source they come from. Errors, also those of the first request, are
// returned by Next; Close must be called in any case.
func (o *Origin) Open(ctx context.Context, a artifacts.Artifact, options Options) *Download {
	options = options.fit(a)
	slot := int64(options.SlotBytes)
	d := &Download{a: a, options: options, sum: sha256.New(), plan: newPlan(a, slot, options.Chunks), queue: make(chan *part, options.Workers)}
	d.object = newObject(o.tries(), a.Key, max(minSpare, ceilDiv(a.Size, slot)), exactly(a.Key, a.Size, a.SHA256), o.jitter)
	d.object.attempts, d.object.throttle = options.Attempts, newThrottle(options.Rate)
	d.ctx, d.stop = context.WithCancelCause(ctx)
	if err := d.start(); err != nil {
		d.stop(err)
	}
	return d
}

func (d *Download) start() (err error) {
	d.release = func() error { return nil }
	if d.plan.done() {
		return errEmpty
	}
	if d.slots, err = newSlots(d.options.Workers, d.options.SlotBytes); err != nil {
		return err
	}
	d.release = sync.OnceValue(d.slots.drop)
	d.workers.Go(d.lead)
	return nil
}

// Next returns the next piece of the artifact. It belongs to the caller until
// Release, which must be called once; a caller that keeps the pieces of all
// slots and asks for more waits forever. One goroutine at a time may call Next.
//
// With chunks, a piece is one chunk, and its hash is verified: it may be used.
// With AnyOrder, chunks come as they arrive.
//
// Without chunks, NOTHING IS VERIFIED UNTIL io.EOF: pieces come as they were
// read, and Next ends in io.EOF only where size and hash of the whole are right,
// else in artifacts.ErrIntegrity. Until then no one may be able to use what was
// made of the pieces.
//
// Errors are those of a bucket's Get, [ErrTransport],
// artifacts.ErrIntegrity, or the cause of a context that has ended; they stay.
func (d *Download) Next(ctx context.Context) (tree.Frame, error) {
	for d.ctx.Err() == nil {
		if err := d.advance(ctx); err != nil {
			return tree.Frame{}, err
		}
		select {
		case f, ok := <-d.current.frames:
			if ok {
				return d.lend(f)
			}
			d.drop(d.current)
			d.current = nil
		case <-d.ctx.Done():
		case <-ctx.Done():
			return tree.Frame{}, context.Cause(ctx)
		}
	}
	return tree.Frame{}, context.Cause(d.ctx)
}

// Close stops the workers and waits for them. The memory is returned once
// every piece that was handed out is released. Close may be repeated.
func (d *Download) Close() error {
	d.stop(errClosed)
	d.workers.Wait()
	return d.release()
}

// advance makes the next part the current one; io.EOF after the last.
func (d *Download) advance(ctx context.Context) error {
	if d.current != nil {
		return nil
	}
	select {
	case p, ok := <-d.queue:
		if !ok {
			return io.EOF
		}
		d.current = p
		return nil
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lend keeps the slots mapped until the caller releases the frame.
func (d *Download) lend(f tree.Frame) (tree.Frame, error) {
	if !d.slots.retain() {
		return tree.Frame{}, errClosed
	}
	release := f.Release
	f.Release = sync.OnceFunc(func() {
		release()
		_ = d.slots.drop() // unmapping what was mapped cannot fail
	})
	return f, nil
}

// drop gives the slot of a part back after the last of its frames.
func (d *Download) drop(p *part) {
	if p.users.Add(-1) == 0 {
		d.slots.give(p.slot)
	}
}
