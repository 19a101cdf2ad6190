package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A yard is a directory with things beside dest that no archive may touch.
type yard struct {
	path   string
	dest   *os.Root
	before map[string]string
}

func newYard(t testing.TB) *yard {
	t.Helper()
	y := &yard{path: t.TempDir()}
	for _, dir := range []string{"dest", "dest-evil"} {
		must(t, os.Mkdir(filepath.Join(y.path, dir), 0o755))
	}
	for _, file := range []string{"canary", "dest-evil/canary"} {
		must(t, os.WriteFile(filepath.Join(y.path, file), []byte("alive"), 0o644))
	}
	dest, err := os.OpenRoot(filepath.Join(y.path, "dest"))
	must(t, err)
	t.Cleanup(func() { _ = dest.Close() })
	y.dest, y.before = dest, picture(t, y.path, "dest")
	return y
}

// check fails the test if anything beside dest has changed.
func (y *yard) check(t testing.TB) {
	t.Helper()
	if after := picture(t, y.path, "dest"); !maps.Equal(after, y.before) {
		t.Errorf("outside the directory: %v\nbefore: %v", after, y.before)
	}
}

// tree is the picture of dest.
func (y *yard) tree(t testing.TB) map[string]string {
	t.Helper()
	return picture(t, filepath.Join(y.path, "dest"), "")
}

// picture says for each path below dir, but for skip, what it is: type, mode
// and content.
func picture(t testing.TB, dir, skip string) map[string]string {
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

// holds compares dest with entries.
func (y *yard) holds(t testing.TB, entries []Entry) {
	t.Helper()
	if diff, err := Verify(t.Context(), y.dest, entries); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// zstdFrame compresses plain.
func zstdFrame(t testing.TB, plain []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	must(t, err)
	return z.EncodeAll(plain, nil)
}

func inflate(t testing.TB, packed []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	must(t, err)
	defer z.Close()
	plain, err := z.DecodeAll(packed, nil)
	must(t, err)
	return plain
}

var errFetch = errors.New("chunk 7: hash differs")

var roomy = Limits{Bytes: 8 << 20, Entries: 1000}
