package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/durable"
	"koboshi/artifacts/durable/durabletest"
)

// begin leaves a file d/old that is durable.
func begin(t *testing.T) *durabletest.Disk {
	t.Helper()
	d := durabletest.New(t)
	if err := errors.Join(d.Mkdir("d", 0o755), d.Mkdir("e", 0o755), d.WriteFile("d/old", []byte("old"), 0o644), d.SyncFS(nil)); err != nil {
		t.Fatal(err)
	}
	return d
}

// read is the content of a file or link in a state, "-" for none.
func read(t *testing.T, s durabletest.State, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := s.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(dir, name)
	if target, err := os.Readlink(name); err == nil {
		return "-> " + target
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Before the end a power cut leaves the old or the new, and after it the new.
// None of the calls can be left out.
func TestPowerCut(t *testing.T) {
	for name, tc := range map[string]struct {
		do      func(d durable.Dir) error
		file    string
		was, is string
	}{
		"a new file":        {func(d durable.Dir) error { return durable.WriteFile(d, "d/new", []byte("new"), 0o644) }, "d/new", "-", "new"},
		"another content":   {func(d durable.Dir) error { return durable.WriteFile(d, "d/old", []byte("new"), 0o644) }, "d/old", "old", "new"},
		"a link":            {func(d durable.Dir) error { return durable.Symlink(d, "old", "d/new") }, "d/new", "-", "-> old"},
		"a link for a file": {func(d durable.Dir) error { return durable.Symlink(d, "x", "d/old") }, "d/old", "old", "-> x"},
		"a name":            {func(d durable.Dir) error { return durable.Rename(d, "d/old", "d/new") }, "d/new", "-", "old"},
		"another place":     {func(d durable.Dir) error { return durable.Rename(d, "d/old", "e/new") }, "e/new", "-", "old"},
		"left its place":    {func(d durable.Dir) error { return durable.Rename(d, "d/old", "e/new") }, "d/old", "old", "-"},
		"removed":           {func(d durable.Dir) error { return durable.Remove(d, "d/old") }, "d/old", "old", "-"},
		"exchanged":         {func(d durable.Dir) error { return durable.Exchange(d, "d", "e") }, "e/old", "-", "old"},
	} {
		t.Run(name, func(t *testing.T) {
			d := begin(t)
			before := d.Calls()
			d.After = func(change string) {
				for s := range d.States() {
					if got := read(t, s, tc.file); got != tc.was && got != tc.is {
						t.Errorf("%s, %s: %q", change, s.Name, got)
					}
				}
			}
			if err := tc.do(d); err != nil {
				t.Fatal(err)
			}
			for s := range d.States() {
				if got := read(t, s, tc.file); got != tc.is {
					t.Errorf("after success, %s: %q, want %q", s.Name, got, tc.is)
				}
			}
			if name != "another place" && name != "left its place" && name != "exchanged" { // these have a call for the other half
				missed(t, d.Calls()-before, tc.do, tc.file, tc.is)
			}
		})
	}
}

// missed leaves each call out, and expects the checks to notice.
func missed(t *testing.T, calls int, do func(durable.Dir) error, file, want string) {
	t.Helper()
	for i := range calls {
		d, lost := begin(t), ""
		before := d.Calls()
		d.Lose = func(n int, call string) bool {
			if n-before == i {
				lost = call
			}
			return n-before == i
		}
		err := do(d)
		seen := err != nil
		for s := range d.States() {
			seen = seen || read(t, s, file) != want
		}
		if !seen {
			t.Errorf("%s could be left out", lost)
		}
	}
}

func TestWriteFile(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := durable.WriteFile(root, "f", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if info, err := root.Stat("f"); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := errors.Join(root.Mkdir("taken", 0o755), root.WriteFile("taken/x", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(root, "taken", []byte("x"), 0o644); err == nil {
		t.Error("a directory was replaced")
	}
	if err := durable.WriteFile(root, "none/f", nil, 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
	if err := durable.Remove(root, "none"); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), durable.TempPrefix) {
			t.Errorf("left: %s", e.Name())
		}
	}
}

func TestExchange(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := errors.Join(root.WriteFile("a", []byte("a"), 0o644), root.WriteFile("b", []byte("b"), 0o644), durable.Exchange(root, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if data, err := root.ReadFile("a"); err != nil || string(data) != "b" {
		t.Errorf("a holds %q, %v", data, err)
	}
	if err := durable.Exchange(root, "a", "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with nothing: %v", err)
	}
}

// readOnly is a directory in which nothing can be made or removed.
type readOnly struct{ durable.Dir }

func (readOnly) OpenFile(string, int, fs.FileMode) (*os.File, error) { return nil, unix.EROFS }
func (readOnly) Remove(string) error                                 { return unix.EROFS }

// A file that could not be made is not removed: the error has one cause, not two.
func TestWriteFileReadOnly(t *testing.T) {
	err := durable.WriteFile(readOnly{durabletest.New(t)}, "new", nil, 0o644)
	if want := "write: " + unix.EROFS.Error(); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %q", err, want)
	}
}
