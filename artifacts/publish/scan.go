package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// scanned is a directory as it was when it was scanned.
type scanned struct {
	root  *os.Root
	top   fs.FileInfo
	infos []fs.FileInfo
	files []lint.File // parents first, names in byte order
	bytes int64       // of all files together
	first map[inode]string
}

// scan lists everything in a directory, also what cannot be packed.
func scan(ctx context.Context, root *os.Root) (*scanned, error) {
	top, err := root.Lstat(".")
	if err != nil {
		return nil, err
	}
	t := &scanned{root: root, top: top, first: map[inode]string{}}
	return t, t.walk(ctx, ".")
}

// walk adds what is in a directory, and below.
func (t *scanned) walk(ctx context.Context, dir string) error {
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
		if err := t.add(name, info); err != nil {
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
func (t *scanned) unreadable(name string) bool {
	last := &t.files[len(t.files)-1]
	if last.Path != name {
		return false
	}
	last.Unreadable = unix.EACCES.Error()
	return true
}

// inode identifies the file of a name.
type inode struct{ device, number uint64 }

func (t *scanned) add(name string, info fs.FileInfo) error {
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
	t.infos, t.files = append(t.infos, info), append(t.files, f)
	return nil
}

// file makes a hard link of a second name for one file.
func (t *scanned) file(f *lint.File, info fs.FileInfo) {
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
	t.bytes += info.Size()
	f.Sparse = ok && stat.Blocks*512+minHole <= stat.Size && t.hasHole(f)
}

// minHole is less than a hole that is worth a word.
const minHole = 1 << 20

// hasHole asks the file system: where it compresses, few blocks are no hole.
func (t *scanned) hasHole(f *lint.File) bool {
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
func (t *scanned) look(f *lint.File) {
	full := path.Join(t.root.Name(), f.Path)
	if os.Geteuid() != 0 && errors.Is(unix.Access(full, unix.R_OK), unix.EACCES) {
		f.Unreadable = unix.EACCES.Error()
	}
	var names [4 << 10]byte
	n, err := unix.Llistxattr(full, names[:])
	if err != nil {
		return // most often: this file system has none
	}
	for name := range bytes.SplitSeq(bytes.TrimSuffix(names[:n], []byte{0}), []byte{0}) {
		if len(name) > 0 {
			f.Attributes = append(f.Attributes, string(name))
		}
	}
}

// lint checks the tree as it was scanned.
func (t *scanned) lint(ctx context.Context, built string) ([]lint.Finding, error) {
	handle, err := tree.OpenHandle(t.root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = handle.Close() }()
	return lint.Check(ctx, lint.Tree{Built: built, Files: t.files, Head: func(f *lint.File, buf []byte) (int, error) {
		return handle.ReadFile(f.Path, buf)
	}})
}

// entries are what an instance will have; hashes and offsets come with packing.
func (t *scanned) entries() []tree.Entry {
	entries := make([]tree.Entry, len(t.files))
	for i := range t.files {
		entries[i] = t.files[i].Entry
	}
	return entries
}

// settled checks the directories again: anything that was added, removed or
// renamed meanwhile has changed one of them.
func (t *scanned) settled() error {
	if err := t.same(".", t.top); err != nil {
		return err
	}
	for i, was := range t.infos {
		if !was.IsDir() {
			continue
		}
		if err := t.same(t.files[i].Path, was); err != nil {
			return err
		}
	}
	return nil
}

func (t *scanned) same(name string, was fs.FileInfo) error {
	is, err := t.root.Lstat(name)
	if err != nil {
		return fmt.Errorf("%s %w: %w", name, ErrModified, err)
	}
	return unchanged(name, was, is)
}
