package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// directory is a source as it was when it was scanned.
type directory struct {
	listing
	root   *os.Root
	handle *tree.DirHandle
	top    fs.FileInfo
	names  []string // of all entries, as they are in the directory
	infos  []fs.FileInfo
	first  map[inode]string
	times  bool // are kept
}

// scan lists everything in a directory, also what cannot be packed. The root is
// closed with the listing.
func scan(ctx context.Context, root *os.Root, opt Options) (*listing, error) {
	top, err := root.Lstat(".")
	if err != nil {
		return nil, err
	}
	t := &directory{root: root, top: top, first: map[inode]string{}, times: opt.KeepTimes}
	t.source = t
	if err := t.walk(ctx, "."); err != nil {
		return nil, err
	}
	if t.handle, err = tree.OpenHandle(root); err != nil {
		return nil, err
	}
	return &t.listing, nil
}

// walk adds what is in a directory, and below.
func (t *directory) walk(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	list, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := path.Join(dir, d.Name())
		if err := t.note(name, info); err != nil {
			return err
		}
		if !info.IsDir() || !utf8.ValidString(name) {
			continue
		}
		if err := t.walk(ctx, name); errors.Is(err, fs.ErrPermission) && t.unreadable(name) {
			continue
		} else if err != nil {
			return err
		}
	}
	return nil
}

// unreadable notes that the directory that was added last cannot be listed.
func (t *directory) unreadable(name string) bool {
	last := &t.files[len(t.files)-1]
	if last.Path != name {
		return false
	}
	last.Unreadable = unix.EACCES.Error()
	return true
}

// inode identifies the file of a name.
type inode struct{ device, number uint64 }

func (t *directory) note(name string, info fs.FileInfo) error {
	f := lint.File{Entry: tree.Entry{Path: name}, Was: info.Mode()}
	switch mode := info.Mode(); {
	case mode.IsDir():
		f.Type, f.Mode = tree.TypeDir, tree.DirMode
	case mode&fs.ModeSymlink != 0:
		target, err := t.root.Readlink(name)
		if err != nil {
			return err
		}
		f.Type, f.Link = tree.TypeSymlink, target
	case mode.IsRegular():
		t.file(&f, info)
	}
	if f.Type == tree.TypeFile || f.Type == tree.TypeDir {
		t.look(&f)
	}
	if t.times && f.Type != tree.TypeHardlink {
		f.Time = tree.Seconds(info.ModTime())
	}
	t.names, t.infos = append(t.names, name), append(t.infos, info)
	t.add(f)
	return nil
}

// file makes a hard link of a second name for one file.
func (t *directory) file(f *lint.File, info fs.FileInfo) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Nlink > 1 {
		id := inode{stat.Dev, stat.Ino}
		if earlier, known := t.first[id]; known {
			f.Type, f.Link = tree.TypeHardlink, earlier
			return
		}
		t.first[id] = f.Path
	}
	f.Type, f.Mode, f.Size = tree.TypeFile, tree.FileMode(info.Mode().Perm()), info.Size()
	f.Sparse = ok && stat.Blocks*512+minHole <= stat.Size && t.hasHole(f)
}

// minHole is less than a hole that is worth a word.
const minHole = 1 << 20

// hasHole asks the file system: where it compresses, few blocks are no hole.
func (t *directory) hasHole(f *lint.File) bool {
	open, err := t.root.OpenFile(f.Path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = open.Close() }()
	hole, err := open.Seek(0, unix.SEEK_HOLE)
	return err == nil && hole < f.Size
}

// look finds what is not in a FileInfo. It goes by the name, and may miss what
// is replaced meanwhile: packing notices that.
func (t *directory) look(f *lint.File) {
	full := path.Join(t.root.Name(), f.Path)
	if os.Geteuid() != 0 && errors.Is(unix.Access(full, unix.R_OK), unix.EACCES) {
		f.Unreadable = unix.EACCES.Error()
	}
	var names [4 << 10]byte
	if n, err := unix.Llistxattr(full, names[:]); err == nil { // most often an error is a file system that has none
		f.Attributes = splitNames(names[:n])
	}
}

func (t *directory) open(i int) (io.ReadCloser, func() error, error) {
	f, err := t.handle.OpenFile(t.names[i])
	if err != nil {
		return nil, nil, err
	}
	return f, func() error { return same(f, t.names[i], t.infos[i]) }, nil
}

// settled checks the directories again: anything that was added, removed or
// renamed meanwhile has changed one of them.
func (t *directory) settled(kept []int) error {
	if err := t.same(".", t.top); err != nil {
		return err
	}
	for _, i := range kept {
		if was := t.infos[i]; was.IsDir() {
			if err := t.same(t.names[i], was); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *directory) same(name string, was fs.FileInfo) error {
	is, err := t.root.Lstat(name)
	if err != nil {
		return fmt.Errorf("%s %w: %w", name, ErrModified, err)
	}
	return unchanged(name, was, is)
}

// Close closes the directory.
func (t *directory) Close() error { return errors.Join(t.handle.Close(), t.root.Close()) }
