package tree

import (
	"context"
	"io"
)

const (
	defaultWriters = 4
	bufferSize     = 1 << 20 // whole pages, for direct I/O
	batchBytes     = 256 << 10
	batchFiles     = 128
)

// A buffer carries bytes from their reader to a writer. Go's allocator puts one
// of its size on a page boundary, as direct I/O needs it.
type buffer struct {
	data  []byte
	used  int
	files []pending // the small files whose bytes are in it, one after the other
}

// pending is a file that is being written.
type pending struct {
	Entry
	sum *string // where its SHA-256 goes
}

// takes reports whether e fits into the batch, too. A batch is large enough that
// a writer stays in one directory, and small enough that other writers have work.
func (b *buffer) takes(e pending) bool {
	return b.used < batchBytes && len(b.files) < batchFiles && int64(b.used)+e.Size <= bufferSize
}

func (b *buffer) add(e pending, r io.Reader) error {
	start := b.used
	b.used += int(e.Size)
	b.files = append(b.files, e)
	_, err := io.ReadFull(r, b.data[start:b.used])
	return err
}

func (out *output) take(ctx context.Context) (*buffer, error) {
	select {
	case b := <-out.free:
		if b.data == nil {
			b.data = make([]byte, bufferSize)
		}
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (out *output) give(b *buffer) {
	b.used, b.files = 0, b.files[:0]
	out.free <- b
}
