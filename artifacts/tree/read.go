package tree

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// readFlags open a file of a tree. Whatever has replaced it, opening does not
// block and does not lead outside of the tree.
const readFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

var errIrregular = errors.New("no regular file")

// OpenFile opens a regular file for reading.
func (h *DirHandle) OpenFile(path string) (*os.File, error) {
	fd, err := h.openRead(path)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path) //nolint:gosec // not negative
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errIrregular}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile reads the first bytes of a file into buf, as many as it has or buf
// takes. It uses no os.File, as [DirHandle.WriteFile] does.
func (h *DirHandle) ReadFile(path string, buf []byte) (int, error) {
	fd, err := h.openRead(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }() // only read
	n, err := io.ReadFull(descriptor(fd), buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func (h *DirHandle) openRead(path string) (int, error) {
	dir, name, err := h.enter(path)
	if err != nil {
		return -1, err
	}
	fd, err := again(func() (int, error) { return unix.Openat(dir, name, readFlags, 0) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// descriptor reads a file that has no os.File.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	n, err := again(func() (int, error) { return unix.Read(int(d), p) })
	switch {
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
