// Package treetest has a directory for tests of what may be written where.
package treetest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Yard is a directory with files next to Dest that no archive may touch.
type Yard struct {
	Path   string
	Dest   *os.Root
	before map[string]string
}

// NewYard makes a yard whose Dest is empty.
func NewYard(t testing.TB) *Yard {
	t.Helper()
	y := &Yard{Path: t.TempDir()}
	for _, dir := range []string{"dest", "dest-evil"} {
		must(t, os.Mkdir(filepath.Join(y.Path, dir), 0o755))
	}
	for _, file := range []string{"canary", "dest-evil/canary"} {
		must(t, os.WriteFile(filepath.Join(y.Path, file), []byte("alive"), 0o644))
	}
	dest, err := os.OpenRoot(filepath.Join(y.Path, "dest"))
	must(t, err)
	t.Cleanup(func() { _ = dest.Close() })
	y.Dest, y.before = dest, Picture(t, y.Path, "dest")
	return y
}

// Check fails the test if anything outside of Dest has changed.
func (y *Yard) Check(t testing.TB) {
	t.Helper()
	if after := Picture(t, y.Path, "dest"); !maps.Equal(after, y.before) {
		t.Errorf("outside the directory: %v\nbefore: %v", after, y.before)
	}
}

// Tree is the picture of Dest: see [Picture].
func (y *Yard) Tree(t testing.TB) map[string]string {
	t.Helper()
	return Picture(t, filepath.Join(y.Path, "dest"), "")
}

// Picture describes each path below dir, but for skip: type, mode and content.
func Picture(t testing.TB, dir, skip string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	must(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == "." {
			return err
		}
		if rel == skip {
			return fs.SkipDir
		}
		seen[rel], err = look(name, d)
		return err
	}))
	return seen
}

func look(name string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	var content string
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		content, err = os.Readlink(name)
		return "-> " + content, err
	case 0:
		var data []byte
		data, err = os.ReadFile(name)
		content = string(data)
	}
	return fmt.Sprintf("%v %s", info.Mode(), content), err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
