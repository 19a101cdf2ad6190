package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// installed is a base with one file, and the file that should come of it.
type installed struct {
	Tree
	path string
	data []byte
	want tree.Entry // "new"
}

func install(t *testing.T, size int) *installed {
	t.Helper()
	b := &installed{path: t.TempDir(), data: noise(1, size)}
	if err := errors.Join(os.Mkdir(filepath.Join(b.path, "dir"), 0o755), os.WriteFile(b.file(), b.data, 0o600)); err != nil {
		t.Fatal(err)
	}
	b.want = tree.Entry{Path: "new", Type: tree.TypeFile, Mode: 0o755, Size: int64(size), SHA256: sum(b.data)}
	old := b.want
	old.Path = "dir/old"
	b.Tree = Tree{Root: root(t, b.path), Entries: []tree.Entry{{Path: "dir", Type: tree.TypeDir, Mode: 0o755}, old}}
	return b
}

func (b *installed) file() string { return filepath.Join(b.path, "dir/old") }

func root(t *testing.T, path string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// sizes are around the limits where a file is treated differently: from 64 KiB
// on it is cloned, a buffer has 1 MiB, and from 16 MiB on direct I/O is used.
var sizes = []int{1, cloneMin - 1, cloneMin, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2 << 20, 16<<20 + 3}

func within(bytes int) tree.Options {
	return tree.Options{Limits: tree.Limits{Bytes: int64(bytes), Entries: 10}}
}

func TestUnchangedFiles(t *testing.T) {
	for _, size := range sizes {
		b, dest := install(t, size), root(t, t.TempDir())
		if err := new(Delta).Apply(t.Context(), dest, []tree.Entry{b.want}, b.Tree, within(size)); err != nil {
			t.Fatal(err)
		}
		got, err := dest.ReadFile("new")
		info, e := dest.Stat("new")
		if err := errors.Join(err, e); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, b.data) || info.Mode() != 0o755 {
			t.Errorf("%d bytes: %d bytes, %s", size, len(got), info.Mode())
		}
	}
}

// The error has the path of the base's file that was changed, whatever its size.
func TestAlteredBase(t *testing.T) {
	for name, alter := range map[string]func(b *installed) error{
		"the last byte": func(b *installed) error {
			b.data[len(b.data)-1] ^= 1
			return os.WriteFile(b.file(), b.data, 0o600)
		},
		"cut":         func(b *installed) error { return os.Truncate(b.file(), int64(len(b.data)-1)) },
		"gone":        func(b *installed) error { return os.Remove(b.file()) },
		"a FIFO":      func(b *installed) error { return errors.Join(os.Remove(b.file()), unix.Mkfifo(b.file(), 0o600)) },
		"a directory": func(b *installed) error { return errors.Join(os.Remove(b.file()), os.Mkdir(b.file(), 0o700)) },
		"a link": func(b *installed) error {
			return errors.Join(os.Rename(b.file(), b.file()+"er"), os.Symlink("older", b.file()))
		},
		"a link before": func(b *installed) error {
			return errors.Join(os.Rename(b.path+"/dir", b.path+"/real"), os.Symlink("real", b.path+"/dir"))
		},
	} {
		for _, size := range sizes {
			b := install(t, size)
			if err := alter(b); err != nil {
				t.Fatal(err)
			}
			err := new(Delta).Apply(t.Context(), root(t, t.TempDir()), []tree.Entry{b.want}, b.Tree, within(size))
			if altered, ok := errors.AsType[*BaseError](err); !ok || altered.Path != "dir/old" {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
		}
	}
}

// An index that is not allowed is refused before anything is made.
func TestApplyRefuses(t *testing.T) {
	b := install(t, 10)
	file := func(path string) tree.Entry { e := b.want; e.Path = path; return e }
	dir := func(path string) tree.Entry { return tree.Entry{Path: path, Type: tree.TypeDir, Mode: 0o755} }
	link := func(path, to string) tree.Entry { return tree.Entry{Path: path, Type: tree.TypeSymlink, Link: to} }
	setuid := file("x")
	setuid.Mode |= fs.ModeSetuid
	hollow := tree.Entry{Path: "x", Type: tree.TypeFile, Mode: 0o644, SHA256: b.want.SHA256}
	for name, entries := range map[string][]tree.Entry{
		"upwards":             {file("../x")},
		"absolute":            {file("/x")},
		"not clean":           {dir("a"), file("a//x")},
		"twice":               {file("x"), file("x")},
		"before its parent":   {file("a/x"), dir("a")},
		"through a file":      {file("a"), file("a/x")},
		"through a link":      {dir("a"), link("b", "a"), file("b/x")},
		"a link that leaves":  {link("a", "../x")},
		"a loop":              {link("a", "b"), link("b", "a")},
		"a link to a later":   {{Path: "a", Type: tree.TypeHardlink, Link: "b"}, file("b")},
		"set-uid":             {setuid},
		"an unknown type":     {{Path: "a", Type: "device"}},
		"too many":            {dir("1"), dir("2"), dir("3"), dir("4")},
		"too large":           {file("a"), file("b"), file("c")},
		"no bytes with a sum": {hollow},
	} {
		dest := t.TempDir()
		err := new(Delta).Apply(t.Context(), root(t, dest), entries, b.Tree, tree.Options{Limits: tree.Limits{Bytes: 25, Entries: 3}})
		if !errors.Is(err, tree.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(dest); err != nil || len(left) > 0 {
			t.Errorf("%s: made %v, %v", name, left, err)
		}
	}
}

func TestApplyEndsWithItsContext(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	for _, size := range []int{10, 3 << 20} {
		b := install(t, size)
		second := b.want
		second.Path = strings.Repeat("n", 9)
		if err := new(Delta).Apply(ctx, root(t, t.TempDir()), []tree.Entry{b.want, second}, b.Tree, within(2*size)); !errors.Is(err, stopped) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	b := install(t, 3<<20)
	f, err := b.Root.Open("dir/old")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := &copier{buf: make([]byte, 1<<20)}
	if n, err := c.copyBytes(ctx, f, "dir/old", b.want.Size, io.Discard, sha256.New()); n > 1<<20 || !errors.Is(err, stopped) {
		t.Errorf("%d bytes copied: %v", n, err)
	}
}

// Files that the base lacks are made from the delta; those in neither are an error.
func TestChangedFiles(t *testing.T) {
	b := install(t, 100_000)
	target := append([]byte("new"), b.data...)
	d := opened(t, encode(t, pair{target, b.data}, pair{[]byte("alone"), nil}))
	patched := tree.Entry{Path: "patched", Type: tree.TypeFile, Mode: 0o644, Size: int64(len(target)), SHA256: sum(target)}
	alone := tree.Entry{Path: "alone", Type: tree.TypeFile, Mode: 0o755, Size: 5, SHA256: sum([]byte("alone"))}
	dest := root(t, t.TempDir())
	want := []tree.Entry{patched, alone, b.want}
	if err := d.Apply(t.Context(), dest, want, b.Tree, within(1<<20)); err != nil {
		t.Fatal(err)
	}
	if diff, err := tree.Verify(t.Context(), dest, tree.AnyOwner, want); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
	neither := alone
	neither.SHA256 = sum([]byte("other"))
	if err := d.Apply(t.Context(), root(t, t.TempDir()), []tree.Entry{neither}, b.Tree, within(1<<20)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a file that neither has: %v", err)
	}
	if err := d.Apply(t.Context(), root(t, t.TempDir()), []tree.Entry{patched}, Tree{Root: b.Root}, within(1<<20)); !errors.Is(err, ErrBase) {
		t.Errorf("a base without the file: %v", err)
	}
	wrong := opened(t, encode(t, pair{[]byte("wrong"), nil}))
	p := wrong.pieces[sum([]byte("wrong"))]
	wrong.pieces[alone.SHA256] = p
	if err := wrong.Apply(t.Context(), root(t, t.TempDir()), []tree.Entry{alone}, b.Tree, within(1<<20)); !errors.Is(err, artifacts.ErrIntegrity) {
		t.Errorf("a piece that makes something else: %v", err)
	}
}
