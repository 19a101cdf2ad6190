package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// A place is where one goroutine creates entries: one directory beneath the
// root at a time, kept open, since an archive's neighbours come together.
// Every name it hands to the kernel is a single component of an open directory.
type place struct {
	root *os.Root
	top  *os.File // the root itself, as a descriptor
	dir  *os.File // the directory at path
	path string
	walk bool // there is no openat2 here
}

func newPlace(root *os.Root) (*place, error) {
	top, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &place{root: root, top: top, dir: top, path: "."}, nil
}

func (p *place) close() error {
	return errors.Join(p.leave(), p.top.Close())
}

func (p *place) leave() error {
	if p.dir == p.top {
		return nil
	}
	dir := p.dir
	p.dir, p.path = p.top, "."
	return dir.Close()
}

// enter returns a descriptor of the directory that name is in, and name's last
// component. The descriptor is good until the next call.
func (p *place) enter(name string) (dir int, base string, err error) {
	parent, base := path.Dir(name), path.Base(name)
	if parent != p.path {
		err = p.change(parent)
	}
	return int(p.dir.Fd()), base, err //nolint:gosec // a descriptor fits
}

func (p *place) change(name string) error {
	if err := p.leave(); err != nil || name == "." {
		return err
	}
	dir, err := p.open(name)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	p.dir, p.path = dir, name
	return nil
}

// open opens a directory without following a link. Where the kernel or a
// seccomp filter has no openat2, the root walks there component by component.
func (p *place) open(name string) (*os.File, error) {
	if p.walk {
		return p.root.Open(name)
	}
	fd, err := unix.Openat2(int(p.top.Fd()), name, &unix.OpenHow{ //nolint:gosec // a descriptor fits
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		p.walk = true
		return p.root.Open(name)
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		return p.open(name)
	case err != nil:
		return nil, &fs.PathError{Op: "openat2", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil //nolint:gosec // not negative
}

func (p *place) createFile(e *Entry) (*os.File, error) {
	fd, err := p.create(e)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), e.Path), nil //nolint:gosec // not negative
}

// create returns the descriptor of a new file.
func (p *place) create(e *Entry) (int, error) {
	dir, base, err := p.enter(e.Path)
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

// lacks tells whether the umask took something: it must not decide what the
// app may read. To look costs a fraction of setting what is so already.
func lacks(st *unix.Stat_t, e *Entry) bool { return fs.FileMode(st.Mode&0o7777) != e.Mode }

func (p *place) mkdir(e *Entry) error {
	return p.make("mkdir", e, func(dir int, base string) error {
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

func (p *place) symlink(e *Entry) error {
	return p.make("symlink", e, func(dir int, base string) error {
		return unix.Symlinkat(e.Link, dir, base)
	})
}

// hardlink links e to the file that e.Link is; target is the place to find it.
func (p *place) hardlink(e *Entry, target *place) error {
	from, name, err := target.enter(e.Link)
	if err != nil {
		return err
	}
	return p.make("link", e, func(dir int, base string) error {
		return unix.Linkat(from, name, dir, base, 0)
	})
}

func (p *place) make(op string, e *Entry, call func(dir int, base string) error) error {
	dir, base, err := p.enter(e.Path)
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
