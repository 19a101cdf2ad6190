package unpack

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	directMin   = 16 << 20 // bytes from which a file is written past the page cache
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

// Write appends p. Direct I/O does not take the odd length at the end of a
// file, and some filesystems do not take it at all: then the page cache does.
func (l *largeFile) Write(p []byte) (int, error) {
	l.reserve()
	n, err := l.File.Write(p)
	l.written += int64(n)
	if !l.direct || !errors.Is(err, unix.EINVAL) {
		return n, err
	}
	l.direct = false
	if err := l.setFlags(0); err != nil {
		return n, err
	}
	rest, err := l.Write(p[n:])
	return n + rest, err
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

func (l *largeFile) setFlags(flags int) error {
	_, err := unix.FcntlInt(l.Fd(), unix.F_SETFL, flags)
	return os.NewSyscallError("fcntl", err)
}
