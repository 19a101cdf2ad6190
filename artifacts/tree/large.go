package tree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const (
	directMin   = 16 << 20 // bytes from which a file is written past the page cache
	reserveStep = 64 << 20 // a size is only a claim until its bytes have come
)

// A LargeFile is reserved step by step and written past the page cache, which
// for large files takes half the time and leaves the memory to the app. Both
// are only for speed: where the filesystem can do neither, it is a plain file.
//
// One goroutine makes room for what is written; then several may write there, in
// any order.
type LargeFile struct {
	*os.File
	entry    *Entry
	reserved int64
	end      int64 // of what was made room for
}

// NewLargeFile takes over f, which is empty, for at most the size of its entry.
func NewLargeFile(f *os.File, e *Entry) *LargeFile {
	l := &LargeFile{File: f, entry: e}
	if e.Size >= directMin {
		_ = l.setFlags(unix.O_DIRECT) // or else it goes through the page cache
	}
	return l
}

// makeRoom reserves the space of n bytes, and of much more after them in one piece.
func (l *LargeFile) makeRoom(at, n int64) error {
	if l.end = max(l.end, at+n); l.end > l.entry.Size {
		return Refuse(l.Name(), "longer than its limits allow")
	}
	for l.entry.Size >= directMin && l.reserved < l.end {
		step := min(reserveStep, l.entry.Size-l.reserved)
		if unix.Fallocate(int(l.Fd()), 0, l.reserved, step) != nil {
			break // if there is no room, the write will fail
		}
		l.reserved += step
	}
	return nil //nolint:nilerr // reserving is only for speed
}

// writeAt writes p. Direct I/O refuses the odd length at the end of a file, and
// some filesystems refuse it altogether: then this write and all later ones go
// through the page cache.
func (l *LargeFile) writeAt(p []byte, at int64) error {
	_, err := l.WriteAt(p, at)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := l.setFlags(0); err != nil {
		return err
	}
	_, err = l.WriteAt(p, at)
	return err
}

// Write appends p.
func (l *LargeFile) Write(p []byte) (int, error) {
	at := l.end
	err := l.makeRoom(at, int64(len(p)))
	if err == nil {
		err = l.writeAt(p, at)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close releases what was reserved and not written, and sets the file's time.
func (l *LargeFile) Close() error {
	var err error
	if l.end < l.reserved {
		err = l.Truncate(l.end)
	}
	return errors.Join(err, Stamp(l.File, l.entry), l.File.Close())
}

func (l *LargeFile) setFlags(flags int) error {
	_, err := unix.FcntlInt(l.Fd(), unix.F_SETFL, flags)
	return os.NewSyscallError("fcntl", err)
}
