package fetch

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// slots is the memory of a download: buffers of one size, page-aligned so that
// they may be written with O_DIRECT, outside the Go heap so that no garbage
// collection has to pace itself by them.
type slots struct {
	mem   []byte
	free  chan []byte
	users atomic.Int64 // the download, and every frame that is lent out
}

// hugePage is its usual size. Slots that do not fill them would waste the rest.
const hugePage = 2 << 20

func newSlots(n, size int) (*slots, error) {
	mem, err := unix.Mmap(-1, 0, n*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%d buffers of %d bytes: %w", n, size, err)
	}
	if size%hugePage == 0 {
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // a tenth less work, where the kernel has them
	}
	s := &slots{mem: mem, free: make(chan []byte, n)}
	s.users.Store(1)
	for i := range n {
		s.free <- mem[i*size : (i+1)*size : (i+1)*size]
	}
	return s, nil
}

// take waits for a free slot; nil when the context ends first.
func (s *slots) take(ctx context.Context) []byte {
	select {
	case slot := <-s.free:
		return slot
	case <-ctx.Done():
		return nil
	}
}

func (s *slots) give(slot []byte) { s.free <- slot }

// retain keeps the memory mapped until drop; false when it is gone already.
func (s *slots) retain() bool {
	for {
		n := s.users.Load()
		if n == 0 {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// drop unmaps the memory after its last user: a frame that outlives its
// download is still readable.
func (s *slots) drop() error {
	if s.users.Add(-1) > 0 {
		return nil
	}
	return unix.Munmap(s.mem)
}
