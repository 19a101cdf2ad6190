package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"koboshi/artifacts/tree"
)

// Compression is what the kernel has to know to read the files of an image: "" where
// that is nothing.
type Compression string

// The compressions that are taken.
const (
	LZ4  Compression = "lz4"
	Zstd Compression = "zstd"
	Gzip Compression = "gzip"
)

// maxPaths bounds the memory of all paths together, in bytes: a few megabytes of
// image can have a million long ones.
const maxPaths = 256 << 20

// filesystem is one format of images. Its errors are *tree.RefusedError without a
// path, or those of reading.
type filesystem interface {
	// inode reads what id is.
	inode(id uint64) (inode, error)
	// list reads the names in a directory, without "." and "..". parent is the
	// directory that it is in; the top is its own.
	list(dir inode, parent uint64) ([]dirent, error)
}

// inode is what a name stands for.
type inode struct {
	id   uint64
	kind tree.Type
	mode fs.FileMode // permissions, of 12 bits
	size int64       // of a file, in bytes
	link string      // of a symbolic link

	at   int64 // of a directory: where its names are, in a way that only its format knows
	tail int64 // and where the last ones are, 0 = with the others
}

type dirent struct {
	name string
	id   uint64
	kind tree.Type // that the directory says it is
}

// walker makes entries of an image, parents first.
type walker struct {
	ctx     context.Context
	fs      filesystem
	limits  tree.Limits
	paths   int               // bytes that are left
	names   map[uint64]string // the first path of what has been seen
	entries []tree.Entry
}

func walk(ctx context.Context, f filesystem, root uint64, limits tree.Limits) ([]tree.Entry, error) {
	limits.Entries = min(limits.Entries, tree.MaxEntries)
	w := &walker{ctx: ctx, fs: f, limits: limits, paths: maxPaths, names: map[uint64]string{root: "."}}
	top, err := f.inode(root)
	if err == nil && top.kind != tree.TypeDir {
		err = refuse("the top is no directory")
	}
	if err == nil {
		err = checkMode(top)
	}
	if err == nil {
		err = w.dir("", top, root)
	}
	if err != nil {
		return nil, err
	}
	return w.entries, tree.Check(ctx, w.entries, limits)
}

// dir adds what is in a directory. Its depth is bounded by that of a path.
func (w *walker) dir(path string, dir inode, parent uint64) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	list, err := w.fs.list(dir, parent)
	if err != nil {
		return at(path, err)
	}
	last := ""
	for _, d := range list {
		name := strings.TrimPrefix(path+"/"+d.name, "/")
		if err := checkName(d.name, last); err != nil {
			return at(name, err)
		}
		last = d.name
		if err := w.add(name, d, dir.id); err != nil {
			return at(name, err)
		}
	}
	return nil
}

func checkName(name, last string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return refuse("%q is no name", tree.Clip(name))
	case last != "" && name <= last:
		return refuse("a name that is not after %q: names are sorted, each once", tree.Clip(last))
	}
	return nil
}

func (w *walker) add(path string, d dirent, parent uint64) error {
	if _, err := tree.CleanPath(path); err != nil {
		return err
	}
	if w.paths -= len(path); w.paths < 0 {
		return refuse("more than %d bytes of paths", maxPaths)
	}
	if int64(len(w.entries)) >= w.limits.Entries {
		return refuse("more entries than the limit")
	}
	in, err := w.fs.inode(d.id)
	if err != nil {
		return err
	}
	if in.kind != d.kind {
		return refuse("a %s that its directory calls a %s", in.kind, d.kind)
	}
	if err := checkMode(in); err != nil {
		return err
	}
	first, known := w.names[in.id]
	switch {
	case known && in.kind != tree.TypeFile:
		return refuse("a second name of %q, a %s", tree.Clip(first), in.kind)
	case known:
		w.entries = append(w.entries, tree.Entry{Path: path, Type: tree.TypeHardlink, Link: first})
		return nil
	}
	w.names[in.id] = path
	e := tree.Entry{Path: path, Type: in.kind, Link: in.link}
	switch in.kind {
	case tree.TypeDir:
		e.Mode = tree.DirMode
	case tree.TypeFile:
		e.Mode, e.Size = tree.FileMode(in.mode), in.size
	}
	w.entries = append(w.entries, e)
	if in.kind == tree.TypeDir {
		return w.dir(path, in, parent)
	}
	return nil
}

func checkMode(in inode) error {
	if in.mode&0o7000 != 0 && in.kind != tree.TypeSymlink {
		return refuse("has the setuid, setgid or sticky bit")
	}
	return nil
}

func refuse(format string, args ...any) error { return tree.Refuse("", format, args...) }

// at adds the path to a refusal that has none.
func at(path string, err error) error {
	if refused, ok := errors.AsType[*tree.RefusedError](err); ok && refused.Entry == "" && path != "" {
		return &tree.RefusedError{Entry: tree.Clip(path), Reason: refused.Reason, Remedy: refused.Remedy}
	}
	return err
}

// section reads n bytes of an image. What is outside it is refused.
func section(r io.ReaderAt, size, at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > size || n > size-at {
		return nil, refuse("%d bytes at %d, and the image has %d", n, at, size)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, at, n), b); err != nil {
		return nil, err
	}
	return b, nil
}
