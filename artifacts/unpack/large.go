package unpack

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	directMin   = 16 << 20 // bytes from which a file is written past the page cache
	directAlign = 4 << 10  // of lengths and offsets: no disk asks for more
	reserveStep = 64 << 20 // a size is only a claim until its bytes have come
)

// A largeFile is reserved step by step and written past the page cache, which
// for large files takes half the time and leaves the memory to the app. Both
// are only for speed: where the filesystem can do neither, it is a plain file.
type largeFile struct {
	*os.File
	size     int64 // expected, at most
	reserved int64
	written  int64
	direct   bool
}

// newLargeFile takes over f, which is empty, for at most size bytes.
func newLargeFile(f *os.File, size int64) *largeFile {
	l := &largeFile{File: f, size: size}
	if size >= directMin {
		l.direct = l.setFlags(unix.O_DIRECT) == nil
	}
	return l
}

// Write appends p. Only the last p of a file may have an odd length: there the
// page cache takes over.
func (l *largeFile) Write(p []byte) (int, error) {
	l.reserve()
	if l.direct && len(p)%directAlign != 0 {
		if err := l.buffer(); err != nil {
			return 0, err
		}
	}
	n, err := l.File.Write(p)
	if l.direct && errors.Is(err, unix.EINVAL) {
		if err = l.buffer(); err == nil {
			var rest int
			rest, err = l.File.Write(p[n:])
			n += rest
		}
	}
	l.written += int64(n)
	return n, err
}

// reserve makes room for the next write, and much more, in one piece.
func (l *largeFile) reserve() {
	if !l.direct || l.written < l.reserved {
		return
	}
	step := min(reserveStep, l.size-l.reserved)
	if unix.Fallocate(int(l.Fd()), 0, l.reserved, step) == nil { // if there is no room, the write will say so
		l.reserved += step
	}
}

// Close gives back what was reserved and not written.
func (l *largeFile) Close() error {
	var err error
	if l.written < l.reserved {
		err = l.Truncate(l.written)
	}
	return errors.Join(err, l.File.Close())
}

func (l *largeFile) buffer() error {
	l.direct = false
	return l.setFlags(0)
}

func (l *largeFile) setFlags(flags int) error {
	_, err := unix.FcntlInt(l.Fd(), unix.F_SETFL, flags)
	return os.NewSyscallError("fcntl", err)
}
