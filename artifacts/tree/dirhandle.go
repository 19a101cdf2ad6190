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

// openTries is how often an openat2 is repeated that was interrupted, or that
// the kernel could not answer while something was renamed elsewhere.
const openTries = 100

// openDir opens a directory without following a link. Where the kernel or a
// seccomp filter has no openat2, the root walks there component by component.
func (h *DirHandle) openDir(name string) (*os.File, error) {
	for range openTries {
		if h.walk {
			break
		}
		fd, err := unix.Openat2(int(h.top.Fd()), name, &unix.OpenHow{ //nolint:gosec // a descriptor fits
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
		})
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil //nolint:gosec // not negative
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			h.walk = true
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN):
			return nil, &fs.PathError{Op: "openat2", Path: name, Err: err}
		}
	}
	return h.root.Open(name)
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
		if err := unix.Symlinkat(e.Link, dir, base); err != nil {
			return err
		}
		return stampAt(dir, base, e)
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
