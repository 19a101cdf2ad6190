package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// A DirHandle is where one goroutine creates and opens entries: one directory
// beneath the root at a time, kept open, since neighbours come together. Every
// name it hands to the kernel is a single component of an open directory.
type DirHandle struct {
	root *os.Root
	top  *os.File // the root itself, as a descriptor
	dir  *os.File // the directory at path
	path string
	walk bool // there is no openat2 here
}

// OpenHandle opens the root as a directory. The handle must be closed.
func OpenHandle(root *os.Root) (*DirHandle, error) {
	top, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &DirHandle{root: root, top: top, dir: top, path: "."}, nil
}

// Close closes the directories.
func (h *DirHandle) Close() error {
	return errors.Join(h.leave(), h.top.Close())
}

func (h *DirHandle) leave() error {
	if h.dir == h.top {
		return nil
	}
	dir := h.dir
	h.dir, h.path = h.top, "."
	return dir.Close()
}

// enter returns a descriptor of the directory that name is in, and name's last
// component. The descriptor is good until the next call.
func (h *DirHandle) enter(name string) (dir int, base string, err error) {
	parent, base := path.Dir(name), path.Base(name)
	if parent != h.path {
		err = h.change(parent)
	}
	return int(h.dir.Fd()), base, err //nolint:gosec // a descriptor fits
}

func (h *DirHandle) change(name string) error {
	if err := h.leave(); err != nil || name == "." {
		return err
	}
	dir, err := h.openDir(name)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	h.dir, h.path = dir, name
	return nil
}

// openDir opens a directory without following a link. Where the kernel or a
// seccomp filter has no openat2, the root walks there component by component.
func (h *DirHandle) openDir(name string) (*os.File, error) {
	if h.walk {
		return h.root.Open(name)
	}
	fd, err := unix.Openat2(int(h.top.Fd()), name, &unix.OpenHow{ //nolint:gosec // a descriptor fits
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		h.walk = true
		return h.root.Open(name)
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		return h.openDir(name)
	case err != nil:
		return nil, &fs.PathError{Op: "openat2", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil //nolint:gosec // not negative
}

// CreateFile creates the file of an entry, which must not be there.
func (h *DirHandle) CreateFile(e *Entry) (*os.File, error) {
	fd, err := h.create(e)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), e.Path), nil //nolint:gosec // not negative
}

// create returns the descriptor of a new file.
func (h *DirHandle) create(e *Entry) (int, error) {
	dir, base, err := h.enter(e.Path)
	if err != nil {
		return -1, err
	}
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := again(func() (int, error) { return unix.Openat(dir, base, flags, uint32(e.Mode)) })
	if err != nil {
		return -1, &fs.PathError{Op: "create", Path: e.Path, Err: err}
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && lacks(&st, e) {
		err = unix.Fchmod(fd, uint32(e.Mode))
	}
	if err != nil {
		return -1, errors.Join(&fs.PathError{Op: "chmod", Path: e.Path, Err: err}, unix.Close(fd))
	}
	return fd, nil
}

// lacks reports whether the umask took something: it must not decide what the
// app may read. Looking costs a fraction of setting the mode again.
func lacks(st *unix.Stat_t, e *Entry) bool { return fs.FileMode(st.Mode&0o7777) != e.Mode }

// WriteFile creates the file of an entry with its bytes. It makes do without an
// os.File, which costs a small file a twentieth.
func (h *DirHandle) WriteFile(e *Entry, data []byte) error {
	fd, err := h.create(e)
	if err != nil {
		return err
	}
	if err = writeAll(fd, data); err != nil {
		err = &fs.PathError{Op: "write", Path: e.Path, Err: err}
	}
	startWriteBack(fd, 0, len(data))
	return errors.Join(err, unix.Close(fd))
}

func (h *DirHandle) mkdir(e *Entry) error {
	return h.make("mkdir", e, func(dir int, base string) error {
		if err := unix.Mkdirat(dir, base, uint32(e.Mode)); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || !lacks(&st, e) {
			return err
		}
		return unix.Fchmodat(dir, base, uint32(e.Mode), 0)
	})
}

func (h *DirHandle) symlink(e *Entry) error {
	return h.make("symlink", e, func(dir int, base string) error {
		return unix.Symlinkat(e.Link, dir, base)
	})
}

// hardlink links e to the file that e.Link is; target is the handle to find it with.
func (h *DirHandle) hardlink(e *Entry, target *DirHandle) error {
	from, name, err := target.enter(e.Link)
	if err != nil {
		return err
	}
	return h.make("link", e, func(dir int, base string) error {
		return unix.Linkat(from, name, dir, base, 0)
	})
}

func (h *DirHandle) make(op string, e *Entry, call func(dir int, base string) error) error {
	dir, base, err := h.enter(e.Path)
	if err != nil {
		return err
	}
	if err := call(dir, base); err != nil {
		return &fs.PathError{Op: op, Path: e.Path, Err: err}
	}
	return nil
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := again(func() (int, error) { return unix.Write(fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
