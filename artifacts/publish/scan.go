package publish

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"unicode/utf8"

	"koboshi/artifacts/tree"
)

// scanned is a directory as it was when it was scanned.
type scanned struct {
	root    *os.Root
	infos   []fs.FileInfo // of entries, in their order
	entries []tree.Entry  // parents first, names in byte order; hashes and offsets come with packing
	bytes   int64         // of all files together
}

// scan lists what is to be packed and refuses what an instance would.
func scan(ctx context.Context, root *os.Root) (*scanned, error) {
	t := &scanned{root: root}
	first := map[inode]string{}
	err := fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		return t.add(name, info, first)
	})
	if err != nil {
		return nil, err
	}
	if len(t.entries) == 0 {
		return nil, fmt.Errorf("the directory is empty")
	}
	return t, t.check()
}

// inode identifies the file of a name.
type inode struct{ device, number uint64 }

func (t *scanned) add(name string, info fs.FileInfo, first map[inode]string) error {
	e := tree.Entry{Path: name}
	switch mode := info.Mode(); {
	case !utf8.ValidString(name):
		return refuse(name, "the name is not UTF-8")
	case mode.IsDir():
		e.Type, e.Mode = tree.TypeDir, tree.DirMode
	case mode&fs.ModeSymlink != 0:
		target, err := t.root.Readlink(name)
		if err != nil {
			return err
		}
		e.Type, e.Link = tree.TypeSymlink, target
	case !mode.IsRegular():
		return refuse(name, "neither a file, a directory nor a link: %s", mode.Type())
	case mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0:
		return refuse(name, "setuid, setgid or sticky bit on a file")
	default:
		t.file(&e, info, first)
	}
	if t.infos = append(t.infos, info); name != "." {
		t.entries = append(t.entries, e)
	}
	return nil
}

// file makes a hard link of a second name for one file.
func (t *scanned) file(e *tree.Entry, info fs.FileInfo, first map[inode]string) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		id := inode{stat.Dev, stat.Ino}
		if earlier, known := first[id]; known {
			e.Type, e.Link = tree.TypeHardlink, earlier
			return
		}
		first[id] = e.Path
	}
	e.Type, e.Mode, e.Size = tree.TypeFile, tree.FileMode(info.Mode().Perm()), info.Size()
	t.bytes += info.Size()
}

// check reads the tree's own index as an instance would: it knows every rule
// about names, and where links lead.
func (t *scanned) check() error {
	index, err := writeIndex(t.entries)
	if err != nil {
		return err
	}
	_, err = tree.ReadIndex(index, tree.MaxEntries)
	return refused(err)
}

// settled checks the directories again: anything that was added, removed or
// renamed meanwhile has changed one of them.
func (t *scanned) settled() error {
	for i, was := range t.infos {
		if !was.IsDir() {
			continue
		}
		name := "."
		if i > 0 {
			name = t.entries[i-1].Path
		}
		is, err := t.root.Lstat(name)
		if err != nil {
			return fmt.Errorf("%s %w: %w", name, ErrModified, err)
		}
		if err := unchanged(path.Clean(name), was, is); err != nil {
			return err
		}
	}
	return nil
}

func writeIndex(entries []tree.Entry) ([]byte, error) {
	var index bytes.Buffer
	err := tree.WriteIndex(&index, entries)
	return index.Bytes(), err
}

func refuse(name, format string, args ...any) error {
	return refused(&tree.RefusedError{Entry: name, Reason: fmt.Sprintf(format, args...)})
}
