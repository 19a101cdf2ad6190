package publish

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/artifacts/tree"
)

// private are files and directories as a builder with umask 077 makes them.
var private = []struct {
	name string
	mode os.FileMode
}{{"bin", 0o755}, {"bin/web", 0o700}, {"etc", 0o700}, {"etc/app.key", 0o600}, {"etc/public", 0o644}}

// What an app's user gets to see is told.
func TestWidened(t *testing.T) {
	w := newWorld(t)
	want := []string{"bin/web (0700)", "etc (0700)", "etc/app.key (0600)"}
	got := w.pack("linux/amd64", w.privateArchive()).Widened()
	if got.Count != len(want) || !slices.Equal(got.First, want) {
		t.Errorf("%+v, want %q", got, want)
	}
	if got := w.executable("1.0").Widened(); got.Count != 0 {
		t.Errorf("%+v of a file that everyone may read", got)
	}
}

func (w *world) privateArchive() string {
	path := filepath.Join(w.TempDir(), "web.tar.gz")
	f, err := os.Create(path)
	must(w.T, err)
	z := gzip.NewWriter(f)
	archive := tar.NewWriter(z)
	for _, p := range private {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: p.name, Mode: int64(p.mode)}
		if filepath.Dir(p.name) == "." {
			h.Typeflag = tar.TypeDir
		}
		must(w.T, archive.WriteHeader(h))
	}
	must(w.T, archive.Close())
	must(w.T, z.Close())
	must(w.T, f.Close())
	return path
}

func TestWidenedIsBounded(t *testing.T) {
	var w Widened
	for i := range maxNamed + 3 {
		w.note(&tree.Entry{Path: fmt.Sprint(i)}, 0o600)
	}
	if text := w.String(); w.Count != maxNamed+3 || len(w.First) != maxNamed || !strings.HasSuffix(text, ", 19 (0600) and 3 more") {
		t.Errorf("%d: %s", w.Count, text)
	}
}
