package unpack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// shelf is a tree that is here already, "old" in it, and what should be in it.
type shelf struct {
	path string
	root *os.Root
	data []byte
	want Entry
}

func newShelf(t *testing.T, size int) *shelf {
	t.Helper()
	s := &shelf{path: t.TempDir(), data: make([]byte, size)}
	_, _ = rand.NewChaCha8([32]byte{1}).Read(s.data) // never fails
	sum := sha256.Sum256(s.data)
	s.want = Entry{Path: "new", Type: TypeFile, Mode: 0o755, Size: int64(size), SHA256: hex.EncodeToString(sum[:])}
	must(t, os.Mkdir(filepath.Join(s.path, "dir"), 0o755))
	must(t, os.WriteFile(s.file(), s.data, 0o600))
	root, err := os.OpenRoot(s.path)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	s.root = root
	return s
}

func (s *shelf) file() string { return filepath.Join(s.path, "dir/old") }

// parts are for entries that all come from the file of the shelf.
func (s *shelf) parts() Parts {
	return Parts{
		Base: s.root,
		Find: func(*Entry) (string, bool) { return "dir/old", true },
		Make: func(context.Context, *Entry, *os.File) error { return errors.New("not asked for") },
	}
}

// sizes are about where a file is treated in another way.
var sizes = []int{1, cloneMin - 1, cloneMin, slabSize - 1, slabSize, slabSize + 1, 2 * slabSize, directMin + 3}

func TestReuse(t *testing.T) {
	for _, size := range sizes {
		s, y := newShelf(t, size), newYard(t)
		must(t, Assemble(t.Context(), y.dest, []Entry{s.want}, s.parts(), within(size)))
		got, err := y.dest.ReadFile("new")
		must(t, err)
		info, err := y.dest.Stat("new")
		must(t, err)
		if !bytes.Equal(got, s.data) || info.Mode() != 0o755 {
			t.Errorf("%d bytes: %d bytes, %s", size, len(got), info.Mode())
		}
		y.check(t)
	}
}

func within(size int) Options {
	return Options{Limits: Limits{Bytes: int64(size), Entries: 10}}
}

// A file of the base that is another one is named, whatever its size.
func TestReuseOfAnAlteredFile(t *testing.T) {
	for name, alter := range map[string]func(s *shelf) error{
		"the last byte": func(s *shelf) error {
			s.data[len(s.data)-1] ^= 1
			return os.WriteFile(s.file(), s.data, 0o600)
		},
		"cut":         func(s *shelf) error { return os.Truncate(s.file(), int64(len(s.data)-1)) },
		"gone":        func(s *shelf) error { return os.Remove(s.file()) },
		"a FIFO":      func(s *shelf) error { return errors.Join(os.Remove(s.file()), unix.Mkfifo(s.file(), 0o600)) },
		"a directory": func(s *shelf) error { return errors.Join(os.Remove(s.file()), os.Mkdir(s.file(), 0o700)) },
		"a link": func(s *shelf) error {
			return errors.Join(os.Rename(s.file(), s.file()+"er"), os.Symlink("older", s.file()))
		},
		"a link before": func(s *shelf) error {
			return errors.Join(os.Rename(s.path+"/dir", s.path+"/real"), os.Symlink("real", s.path+"/dir"))
		},
	} {
		for _, size := range sizes {
			s, y := newShelf(t, size), newYard(t)
			must(t, alter(s))
			err := Assemble(t.Context(), y.dest, []Entry{s.want}, s.parts(), within(size))
			if altered, ok := errors.AsType[*AlteredError](err); !ok || altered.Path != "dir/old" {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
			y.check(t)
		}
	}
}

// What an index may not say is refused before anything is made.
func TestAssembleRefuses(t *testing.T) {
	s := newShelf(t, 10)
	file := func(path string) Entry { e := s.want; e.Path = path; return e }
	dir := func(path string) Entry { return Entry{Path: path, Type: TypeDir, Mode: 0o755} }
	link := func(path, to string) Entry { return Entry{Path: path, Type: TypeSymlink, Link: to} }
	setuid := file("x")
	setuid.Mode |= fs.ModeSetuid
	hollow := Entry{Path: "x", Type: TypeFile, Mode: 0o644, SHA256: s.want.SHA256}
	for name, entries := range map[string][]Entry{
		"upwards":             {file("../x")},
		"absolute":            {file("/x")},
		"not clean":           {dir("a"), file("a//x")},
		"twice":               {file("x"), file("x")},
		"before its parent":   {file("a/x"), dir("a")},
		"through a file":      {file("a"), file("a/x")},
		"through a link":      {dir("a"), link("b", "a"), file("b/x")},
		"a link that leaves":  {link("a", "../x")},
		"a loop":              {link("a", "b"), link("b", "a")},
		"a link to a later":   {{Path: "a", Type: TypeHardlink, Link: "b"}, file("b")},
		"set-uid":             {setuid},
		"an unknown type":     {{Path: "a", Type: "device"}},
		"too many":            {dir("1"), dir("2"), dir("3"), dir("4")},
		"too large":           {file("a"), file("b"), file("c")},
		"no bytes with a sum": {hollow},
	} {
		y := newYard(t)
		err := Assemble(t.Context(), y.dest, entries, s.parts(), Options{Limits: Limits{Bytes: 25, Entries: 3}})
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if left := y.tree(t); len(left) > 0 && name != "no bytes with a sum" {
			t.Errorf("%s: made %v", name, left)
		}
		y.check(t)
	}
}

func TestAssembleEndsWithItsContext(t *testing.T) {
	for _, size := range []int{10, 3 * slabSize} {
		s, y := newShelf(t, size), newYard(t)
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		parts := s.parts()
		parts.Find = func(*Entry) (string, bool) { cancel(stopped); return "dir/old", true }
		second := s.want
		second.Path = strings.Repeat("n", 9)
		if err := Assemble(ctx, y.dest, []Entry{s.want, second}, parts, within(2*size)); !errors.Is(err, stopped) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
