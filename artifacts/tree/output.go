package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
)

// A job is what one writer does alone and in order: a buffer of small files, or
// one large file, buffer by buffer.
type job func(*DirHandle) error

// An output hands files to writers. It owns a fixed number of buffers, so that
// the reader of the archive waits for the disk.
type output struct {
	Options
	dir     *os.Root
	writers int
	jobs    chan job
	free    chan *buffer
	batch   *buffer // being filled; nil when there is none
}

func newOutput(dir *os.Root, opt Options) *output {
	writers := opt.Writers
	if writers <= 0 {
		writers = defaultWriters
	}
	out := &output{Options: opt, dir: dir, writers: writers, jobs: make(chan job), free: make(chan *buffer, writers+3)}
	for range cap(out.free) {
		out.free <- &buffer{}
	}
	return out
}

// write does jobs until there are no more.
func (out *output) write() error {
	at, err := OpenHandle(out.dir)
	if err != nil {
		return err
	}
	for do := range out.jobs {
		if err = do(at); err != nil {
			break
		}
	}
	return errors.Join(err, at.Close())
}

// file takes the bytes of e from r, and e.sum is set once it is written.
func (out *output) file(ctx context.Context, e pending, r io.Reader) error {
	if e.Size > bufferSize {
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

// flush sends off the small files collected so far.
func (out *output) flush(ctx context.Context) error {
	batch := out.batch
	if batch == nil {
		return nil
	}
	out.batch = nil
	return send(ctx, out.jobs, func(at *DirHandle) error {
		defer out.give(batch)
		return out.writeBatch(at, batch)
	})
}

// writeBatch writes the small files of one buffer.
func (out *output) writeBatch(at *DirHandle, b *buffer) error {
	data := b.data
	for _, e := range b.files {
		if err := at.WriteFile(&e.Entry, data[:e.Size]); err != nil {
			return err
		}
		if out.Hash {
			sum := sha256.Sum256(data[:e.Size])
			*e.sum = hex.EncodeToString(sum[:])
		}
		data = data[e.Size:]
	}
	return nil
}

// stream takes the bytes of e from r, buffer by buffer.
func (out *output) stream(ctx context.Context, e pending, r io.Reader) error {
	buffers := make(chan *buffer, 1)
	defer close(buffers)
	err := send(ctx, out.jobs, func(at *DirHandle) error { return out.writeStream(at, e, buffers) })
	for left := e.Size; err == nil && left > 0; {
		var b *buffer
		if b, err = out.take(ctx); err != nil {
			return err
		}
		b.used = int(min(left, bufferSize))
		left -= int64(b.used)
		if _, err = io.ReadFull(r, b.data[:b.used]); err != nil {
			out.give(b)
			return err
		}
		err = send(ctx, buffers, b)
	}
	return err
}

// writeStream writes one large file as its buffers come, until there are no
// more. A stream that broke off is its sender's error.
func (out *output) writeStream(at *DirHandle, e pending, buffers <-chan *buffer) error {
	f, err := at.CreateFile(&e.Entry)
	if err != nil {
		return err
	}
	large, sum := NewLargeFile(f, &e.Entry), sha256.New()
	for b := range buffers {
		if err = out.writeBuffer(large, sum, b); err != nil {
			break
		}
	}
	if out.Hash {
		*e.sum = hex.EncodeToString(sum.Sum(nil))
	}
	return errors.Join(err, large.Close())
}

func (out *output) writeBuffer(w io.Writer, sum hash.Hash, b *buffer) error {
	defer out.give(b)
	if out.Hash {
		sum.Write(b.data[:b.used])
	}
	_, err := w.Write(b.data[:b.used])
	return err
}

func send[T any](ctx context.Context, to chan<- T, what T) error {
	select {
	case to <- what:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
