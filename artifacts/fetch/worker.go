package fetch

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// maxRefetch is how often a chunk with a wrong hash is read again, alone: a bit
// that flipped in transit does not make the download fail.
const maxRefetch = 2

// lead opens the first part by itself: its answer shows whether the object
// exists and has the signed size, and its ETag pins all later requests.
func (d *Download) lead() {
	parts := d.take()
	if len(parts) == 0 {
		return
	}
	c := d.cursor(parts)
	if err := c.open(d.ctx); err != nil {
		d.stop(err)
		return
	}
	for range d.options.Workers - 1 {
		d.workers.Go(d.work)
	}
	d.bring(parts, c)
	d.work()
}

// work makes request after request until there is no more to ask for, or one fails.
func (d *Download) work() {
	for d.ctx.Err() == nil {
		parts := d.take()
		if len(parts) == 0 {
			return
		}
		d.bring(parts, d.cursor(parts))
	}
}

// take plans what the next request brings, empty when there is nothing left to do. It
// waits for a slot first, so that the part which Next waits for always has one.
func (d *Download) take() []*part {
	slot := d.slots.take(d.ctx)
	if slot == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan.done() {
		d.slots.give(slot) // parts that are read in a row still need one each
		return nil
	}
	parts := d.plan.stretch(d.options.stretch, d.options.Workers)
	parts[0].slot = slot
	d.pending += len(parts)
	if !d.options.AnyOrder {
		d.enqueue(parts[0])
	}
	return parts
}

// enqueue hands a part to Next. The queue has room for as many as there are slots.
func (d *Download) enqueue(p *part) {
	d.queue <- p
	if d.pending--; d.pending == 0 && d.plan.done() {
		close(d.queue)
	}
}

// cursor is the first of a request: it reads all parts or, where that is one large
// piece, its lane of it.
func (d *Download) cursor(parts []*part) *cursor {
	first, last := parts[0], parts[len(parts)-1]
	length := last.offset + last.size() - first.offset
	if len(parts) == 1 && len(first.pieces) == 1 {
		length = min(length, max(minPartBytes, ceilDiv(length, d.options.lanes)))
	}
	return &cursor{o: d.object, at: first.offset, end: first.offset + length}
}

// bring reads parts into a slot each. The body has ended as it should before the
// last of them is done.
func (d *Download) bring(parts []*part, c *cursor) {
	defer c.close()
	for i, p := range parts {
		err := d.fill(p, c)
		if err == nil && i == len(parts)-1 {
			err = c.finish()
		}
		if err != nil {
			d.stop(err)
			return
		}
		d.done(p)
	}
}

// fill reads a part into its slot and hands out its pieces as they are verified.
func (d *Download) fill(p *part, c *cursor) error {
	if p.slot == nil {
		if p.slot = d.slots.take(d.ctx); p.slot == nil {
			return context.Cause(d.ctx)
		}
	}
	rest := p.slot
	for _, piece := range p.pieces {
		data, offset := rest[:piece.size:piece.size], c.at
		rest = rest[piece.size:]
		if err := d.readPiece(p, piece, c, data); err != nil {
			return err
		}
		d.options.Progress(piece.size)
		p.frames <- tree.Frame{Data: data, At: offset, Plain: piece.plain, Release: func() { d.drop(p) }}
	}
	return nil
}

func (d *Download) done(p *part) {
	close(p.frames)
	if d.options.AnyOrder {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.enqueue(p)
	}
}

func (d *Download) readPiece(p *part, piece piece, c *cursor, data []byte) error {
	offset := c.at
	if err := d.read(c, data); err != nil {
		return err
	}
	if piece.chunk < 0 {
		return d.hash(p, data)
	}
	err := d.a.CheckChunk(piece.chunk, data)
	for n := 0; n < maxRefetch && errors.Is(err, artifacts.ErrIntegrity); n++ {
		if err = d.readAt(offset, data); err == nil {
			err = d.a.CheckChunk(piece.chunk, data)
		}
	}
	return err
}

// read fills data: c as far as it goes, and for the rest of a piece that is
// read in lanes as many others at the same time.
func (d *Download) read(c *cursor, data []byte) error {
	offset, lane := c.at, c.end-c.at
	var lanes errgroup.Group
	for at := lane; at < int64(len(data)); at += lane {
		lanes.Go(func() error { return d.readAt(offset+at, data[at:min(at+lane, int64(len(data)))]) })
	}
	err := c.read(d.ctx, data[:min(lane, int64(len(data)))])
	return cmp.Or(err, lanes.Wait())
}

// readAt reads one range by a request of its own.
func (d *Download) readAt(offset int64, data []byte) error {
	c := &cursor{o: d.object, at: offset, end: offset + int64(len(data))}
	defer c.close()
	if err := c.read(d.ctx, data); err != nil {
		return err
	}
	return c.finish()
}

// hash adds a part to the sum of the whole once those before it are hashed, and judges
// the sum after the last.
func (d *Download) hash(p *part, data []byte) error {
	select {
	case <-p.before:
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	}
	_, _ = d.sum.Write(data) // a hash takes everything
	if p.offset+int64(len(data)) == d.a.Size {
		if got := artifacts.Digest(d.sum.Sum(nil)); got != d.a.SHA256 {
			return &artifacts.MismatchError{What: d.a.Key, GotSize: d.a.Size, WantSize: d.a.Size, GotSHA256: got, WantSHA: d.a.SHA256}
		}
	}
	close(p.hashed)
	return nil
}
