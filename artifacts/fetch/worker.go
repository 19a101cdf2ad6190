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
	p := d.take()
	if p == nil {
		return
	}
	c := d.cursor(p)
	if err := c.open(d.ctx); err != nil {
		d.stop(err)
		return
	}
	for range d.options.Workers - 1 {
		d.workers.Go(d.work)
	}
	d.bring(p, c)
	d.work()
}

// work brings part after part until there are no more, or one fails.
func (d *Download) work() {
	for d.ctx.Err() == nil {
		p := d.take()
		if p == nil {
			return
		}
		d.bring(p, d.cursor(p))
	}
}

// take waits for a slot before it takes the next part, so that the part which
// Next waits for always has one. It is nil when there is nothing left to do.
func (d *Download) take() *part {
	slot := d.slots.take(d.ctx)
	if slot == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan.done() {
		return nil
	}
	p := d.plan.next()
	p.slot = slot
	d.queue <- p // has room for as many parts as there are slots
	if d.plan.done() {
		close(d.queue)
	}
	return p
}

// cursor is the first of a part: it reads the whole of it or, where that is one
// large piece, its lane of it.
func (d *Download) cursor(p *part) *cursor {
	lane := p.size()
	if len(p.pieces) == 1 {
		lane = min(lane, max(minPartBytes, ceilDiv(lane, d.options.lanes)))
	}
	return &cursor{o: d.object, at: p.offset, end: p.offset + lane}
}

// bring reads a part into its slot and hands out its pieces as they are verified.
func (d *Download) bring(p *part, c *cursor) {
	defer c.close()
	rest := p.slot
	for _, piece := range p.pieces {
		data := rest[:piece.size:piece.size]
		rest = rest[piece.size:]
		if err := d.readPiece(p, piece, c, data); err != nil {
			d.stop(err)
			return
		}
		d.options.Progress(piece.size)
		p.frames <- tree.Frame{Data: data, Plain: piece.plain, Release: func() { d.drop(p) }}
	}
	if err := c.finish(); err != nil {
		d.stop(err)
		return
	}
	close(p.frames)
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
