package image

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts/tree"
)

var created = time.Date(2026, 11, 21, 9, 58, 0, 0, time.UTC)

// tenMiB are limits for the images of tests.
var tenMiB = tree.Limits{Bytes: 10 << 20, Entries: 5000}

// sample is a tree with everything that a release may have: files that end
// before, at and after the end of a block, large directories, long names and links.
func sample() (entries []tree.Entry, contents map[string]string) {
	contents = map[string]string{}
	file := func(path string, size int) {
		text := strings.Repeat(path+"\n", size/len(path)+1)[:size]
		contents[path] = text
		entries = append(entries, tree.Entry{Path: path, Type: tree.TypeFile, Mode: 0o644, Size: int64(size)})
	}
	dir := func(path string) {
		entries = append(entries, tree.Entry{Path: path, Type: tree.TypeDir, Mode: tree.DirMode})
	}
	for _, size := range []int{0, 1, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 100_000} {
		file(fmt.Sprintf("size-%d", size), size)
	}
	dir("bin")
	file("bin/web", 5000)
	entries[len(entries)-1].Mode = 0o755
	entries = append(entries,
		tree.Entry{Path: "bin/web-again", Type: tree.TypeHardlink, Link: "bin/web"},
		tree.Entry{Path: "bin/link", Type: tree.TypeSymlink, Link: "../bin/web"},
		tree.Entry{Path: "bin/nowhere", Type: tree.TypeSymlink, Link: strings.Repeat("x/", 100) + "y"},
	)
	dir("-before-the-dot")
	dir("many")
	for i := range 700 {
		file(fmt.Sprintf("many/%03d-%s", i, strings.Repeat("n", i%200)), i%3)
	}
	file("many/"+strings.Repeat("ü", 127), 7)
	return entries, contents
}

func opened(entries []tree.Entry, contents map[string]string) Open {
	return func(i int) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(contents[entries[i].Path])), nil
	}
}

func made(t testing.TB, entries []tree.Entry, open Open) []byte {
	t.Helper()
	w, err := NewWriter(entries, created)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := w.Write(&out, open); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != w.Size() {
		t.Fatalf("%d bytes, Size says %d", out.Len(), w.Size())
	}
	return out.Bytes()
}

// What is written is read back, and twice the same bytes.
func TestWriter(t *testing.T) {
	entries, contents := sample()
	b := made(t, entries, opened(entries, contents))
	if !bytes.Equal(b, made(t, entries, opened(entries, contents))) {
		t.Error("two images of one tree differ")
	}
	got, err := ReadErofs(t.Context(), bytes.NewReader(b), int64(len(b)), tenMiB)
	if err != nil {
		t.Fatal(err)
	}
	if diff := tree.Difference(entries, got); !diff.Clean() || len(got) != len(entries) {
		t.Errorf("%+v, %d of %d entries", diff, len(got), len(entries))
	}
}
