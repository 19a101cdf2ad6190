package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Dir is a directory in which changes are made durable: an [os.Root]. A test may
// bring one that is also [Calls], and loses what is not fsynced.
type Dir interface {
	Lstat(name string) (fs.FileInfo, error)
	Open(name string) (*os.File, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Remove(name string) error
	Rename(from, to string) error
	Symlink(target, name string) error
}

// Calls are those that an [os.Root] has no method for. A [Dir] that has them is
// asked, else the kernel.
type Calls interface {
	Sync(f *os.File) error      // fsync
	SyncFS(f *os.File) error    // syncfs, of the file system that f is on
	Exchange(a, b string) error // renameat2 with RENAME_EXCHANGE
}

// SyncFS brings everything to the disk that was written to the file system of f,
// a descriptor beneath dir. It reports writes that were lost since f was opened
// (Linux 5.8), once: the error must be kept.
func SyncFS(dir Dir, f *os.File) error { return callsOf(dir).SyncFS(f) }

func callsOf(dir Dir) Calls {
	if calls, ok := dir.(Calls); ok {
		return calls
	}
	return kernel{dir}
}

type kernel struct{ dir Dir }

func (kernel) Sync(f *os.File) error { return f.Sync() }

func (kernel) SyncFS(f *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd()))) //nolint:gosec // a descriptor fits
}

func (k kernel) Exchange(a, b string) error {
	top, err := k.dir.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = top.Close() }() // only read
	fd := int(top.Fd())                //nolint:gosec // a descriptor fits
	err = unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return os.NewSyscallError("renameat2", err)
}
