package publish

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"koboshi/artifacts/convert"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// spooled is an archive whose files are in one temporary file without a name.
type spooled struct {
	file  *os.File
	items []convert.Item
	of    []int // the item whose bytes an entry has
}

func (s *spooled) open(i int) (io.ReadCloser, func() error, error) {
	item := s.items[s.of[i]]
	return io.NopCloser(io.NewSectionReader(s.file, item.Offset, item.Size)), func() error { return nil }, nil
}

func (*spooled) settled([]int) error { return nil }

func (s *spooled) Close() error { return s.file.Close() }

// listArchive reads an archive and lists it as if it had been unpacked. Names
// that cannot be in a tree are listed as they are: lint reports them.
func listArchive(ctx context.Context, kind convert.Kind, src io.ReaderAt, size int64, opt Options) (*listing, *convert.Archive, error) {
	spool, err := newSealer(opt.TempDir)
	if err != nil {
		return nil, nil, err
	}
	s := &spooled{file: spool.file}
	archive, err := convert.Read(ctx, kind, src, size, spool.file, convert.Options{Progress: opt.Progress})
	if err != nil {
		_ = s.Close() // it has no name
		return nil, nil, err
	}
	s.items = archive.Items
	return s.list(opt), archive, nil
}

func (s *spooled) list(opt Options) *listing {
	l := &listing{source: s}
	for _, p := range s.place() {
		s.of = append(s.of, p.bytes)
		if !opt.KeepTimes {
			p.Time = 0
		}
		l.add(p.File)
	}
	return l
}

// placed is a path of the tree and the item that has its bytes.
type placed struct {
	lint.File
	bytes int
	bad   bool // the path cannot be in a tree
}

// place makes a tree's paths of the items: clean where they can be, with the
// directories that only longer paths name, and in the order of a tree.
func (s *spooled) place() []placed {
	var all []placed
	bytesOf := map[string]int{}        // of the files so far
	dirs := map[string]bool{".": true} // that are listed
	for i, item := range s.items {
		p := placed{File: lint.File{Entry: tree.Entry{Path: item.Name, Time: tree.Seconds(item.Modified)}, Was: item.Was, Attributes: item.Attributes, Sparse: item.Sparse}, bytes: i}
		if clean, err := tree.CleanPath(item.Name); err == nil {
			p.Path = clean
		} else {
			p.bad = true
		}
		switch {
		case item.Hard:
			p.Type, p.Link = tree.TypeHardlink, item.Link
			if target, err := tree.CleanPath(item.Link); err == nil {
				p.Link = target
			}
			if bytes, known := bytesOf[p.Link]; known {
				p.bytes, bytesOf[p.Path] = bytes, bytes
			}
		case item.Was.IsDir():
			p.Type, p.Mode = tree.TypeDir, tree.DirMode
			if dirs[p.Path] {
				continue
			}
			dirs[p.Path] = true
		case item.Was&fs.ModeSymlink != 0:
			p.Type, p.Link = tree.TypeSymlink, item.Link
		case item.Was.IsRegular():
			p.Type, p.Mode, p.Size = tree.TypeFile, tree.FileMode(item.Was.Perm()), item.Size
			bytesOf[p.Path] = i
		}
		all = append(all, p)
	}
	for _, p := range slices.Clone(all) {
		for dir := path.Dir(p.Path); !p.bad && !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
			all = append(all, placed{File: lint.File{Entry: tree.Entry{Path: dir, Type: tree.TypeDir, Mode: tree.DirMode}, Was: fs.ModeDir | 0o755}})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return inOrder(a.Path, b.Path) })
	return all
}

// inOrder compares paths as a tree is walked: what is in a directory comes
// directly after it.
func inOrder(a, b string) int {
	return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
}
