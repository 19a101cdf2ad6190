package unpack

import (
	"context"
	"errors"
	"io"
	"os"
)

const (
	defaultWriters = 4
	slabSize       = 1 << 20 // whole pages, for direct I/O
	batchBytes     = 256 << 10
	batchFiles     = 128
)

// A slab is a buffer on its way from the archive to a writer. Go's allocator
// puts one of its size on a page boundary, as direct I/O needs it.
type slab struct {
	buf   []byte
	used  int
	files []*Entry // the small files whose bytes it holds, one after the other
}

// A job is what one writer does alone and in order: a slab of small files, or
// one large file, slab by slab.
type job func(*place) error

// An output hands files to writers. It owns a fixed number of slabs, so that
// whoever reads the archive waits for the disk.
type output struct {
	dir     *os.Root
	hash    bool
	writers int
	jobs    chan job
	free    chan *slab
	batch   *slab // being filled; nil when there is none
}

func (o Options) writers() int {
	if o.Writers <= 0 {
		return defaultWriters
	}
	return o.Writers
}

func newOutput(dir *os.Root, opt Options) *output {
	writers := opt.writers()
	out := &output{dir: dir, hash: opt.Hash, writers: writers, jobs: make(chan job), free: make(chan *slab, writers+3)}
	for range cap(out.free) {
		out.free <- &slab{}
	}
	return out
}

// write does jobs until there are no more.
func (out *output) write() error {
	at, err := newPlace(out.dir)
	if err != nil {
		return err
	}
	for do := range out.jobs {
		if err = do(at); err != nil {
			break
		}
	}
	return errors.Join(err, at.close())
}

// file takes the bytes of e from r, and e.SHA256 is set once it is written.
func (out *output) file(ctx context.Context, e *Entry, r io.Reader) error {
	if e.Size > slabSize {
		return out.stream(ctx, e, r)
	}
	if b := out.batch; b != nil && !b.takes(e) {
		if err := out.flush(ctx); err != nil {
			return err
		}
	}
	if out.batch == nil {
		var err error
		if out.batch, err = out.take(ctx); err != nil {
			return err
		}
	}
	return out.batch.add(e, r)
}

// takes reports whether e belongs into the batch as well. A batch is enough for
// one writer to keep to one directory, and not so much that others idle.
func (s *slab) takes(e *Entry) bool {
	return s.used < batchBytes && len(s.files) < batchFiles && int64(s.used)+e.Size <= slabSize
}

func (s *slab) add(e *Entry, r io.Reader) error {
	start := s.used
	s.used += int(e.Size)
	s.files = append(s.files, e)
	_, err := io.ReadFull(r, s.buf[start:s.used])
	return err
}

// flush sends off the small files collected so far.
func (out *output) flush(ctx context.Context) error {
	batch := out.batch
	if batch == nil {
		return nil
	}
	out.batch = nil
	return send(ctx, out.jobs, func(at *place) error {
		defer out.give(batch)
		return out.writeBatch(at, batch)
	})
}

// stream takes the bytes of e from r to its end, however many they are.
func (out *output) stream(ctx context.Context, e *Entry, r io.Reader) error {
	slabs := make(chan *slab, 1)
	defer close(slabs)
	err := send(ctx, out.jobs, func(at *place) error { return out.writeStream(at, e, slabs) })
	for err == nil {
		var s *slab
		if s, err = out.take(ctx); err != nil {
			return err
		}
		if s.used, err = readFull(r, s.buf); err != nil || s.used == 0 {
			out.give(s)
			return err
		}
		err = send(ctx, slabs, s)
	}
	return err
}

func (out *output) take(ctx context.Context) (*slab, error) {
	select {
	case s := <-out.free:
		if s.buf == nil {
			s.buf = make([]byte, slabSize)
		}
		return s, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (out *output) give(s *slab) {
	s.used, s.files = 0, s.files[:0]
	out.free <- s
}

func send[T any](ctx context.Context, to chan<- T, what T) error {
	select {
	case to <- what:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
