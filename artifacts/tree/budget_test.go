package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// deep is a directory with a path of 3,513 bytes.
var deep = strings.Repeat(strings.Repeat("d", 250)+"/", 14)

// TestLongPathsAreStoredOnce holds what an index takes in memory: 20,000 entries
// with 70 MB of paths.
func TestLongPathsAreStoredOnce(t *testing.T) {
	const entries, most = 20_000, 16 << 20
	index := deepIndex(t, entries)
	before := inUse()
	l, err := readIndex(t.Context(), index, entries)
	must(t, err)
	if took := inUse() - before; took > most {
		t.Errorf("%d entries take %d bytes of memory, want at most %d", len(l.order), took, most)
	}
	if last := l.order[entries-1].path(); last != fmt.Sprintf("%s%06d", deep, entries-15) {
		t.Errorf("the last is %s", last)
	}
}

// deepIndex is the index of so many entries, most of them files in deep.
func deepIndex(t *testing.T, entries int) []byte {
	t.Helper()
	var index bytes.Buffer
	all := make([]Entry, 0, entries)
	for dir := ""; len(dir) < len(deep)-1; {
		dir = deep[:min(len(dir)+251, len(deep)-1)]
		all = append(all, Entry{Path: strings.TrimSuffix(dir, "/"), Type: TypeDir, Mode: DirMode})
	}
	for i := range entries - len(all) {
		all = append(all, Entry{Path: fmt.Sprintf("%s%06d", deep, i), Type: TypeFile, Mode: 0o644})
	}
	must(t, WriteIndex(&index, all))
	return index.Bytes()
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // a heap fits
}

// TestMaxText: names and targets are bounded, however few entries have them.
func TestMaxText(t *testing.T) {
	l := newListing(Limits{Entries: MaxEntries})
	target := strings.Repeat("x", MaxPath)
	var err error
	n := 0
	for ; err == nil && n < 2*MaxText/MaxPath; n++ {
		_, err = l.add(&Entry{Path: fmt.Sprint(n), Type: TypeSymlink, Link: target})
	}
	if !errors.Is(err, ErrRefused) || n < MaxText/(MaxPath+10) {
		t.Errorf("after %d links: %v, want a refusal", n, err)
	}
}

// TestBare: who has an index is not given another one.
func TestBare(t *testing.T) {
	for _, bare := range []bool{false, true} {
		root, err := os.OpenRoot(t.TempDir())
		must(t, err)
		entries, err := Write(t.Context(), root, Options{Limits: roomy, Bare: bare}, func(ctx context.Context, w *Writer) error {
			return w.Add(ctx, &Entry{Path: "a/b", Type: TypeFile, Mode: 0o644}, strings.NewReader(""))
		})
		must(t, err)
		if (len(entries) == 0) != bare {
			t.Errorf("bare %v: %d entries", bare, len(entries))
		}
		_, err = root.Stat("a/b")
		must(t, errors.Join(err, root.Close()))
	}
}

// TestLoopsSeeTheirContext: none goes on after the deadline, however many entries
// there are.
func TestLoopsSeeTheirContext(t *testing.T) {
	gone := errors.New("the deadline has passed")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	entries := []Entry{{Path: "a", Type: TypeDir, Mode: DirMode}, {Path: "l", Type: TypeSymlink, Link: "a"}}
	var index bytes.Buffer
	must(t, WriteIndex(&index, entries))
	list := func() *listing {
		l := newListing(roomy)
		for i := range entries {
			must(t, l.addIndexed(&entries[i]))
		}
		return l
	}
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer func() { must(t, root.Close()) }()
	for name, loop := range map[string]func() error{
		"following links": func() error { return list().checkLinks(ended) },
		"making links":    func() error { return makeLinks(ended, root, list(), Options{}) },
		"reading an index": func() error {
			_, err := ReadIndex(ended, index.Bytes(), 10)
			return err
		},
		"adding entries": func() error {
			at, err := OpenHandle(root)
			must(t, err)
			defer func() { must(t, at.Close()) }()
			w := &Writer{list: newListing(roomy), at: at}
			return w.Add(ended, &Entry{Path: "d", Type: TypeDir, Mode: DirMode}, nil)
		},
		"assembling": func() error {
			return Assemble(ended, root, entries, Options{Limits: roomy}, func(context.Context, *DirHandle, []*Entry, []byte) error { return io.EOF })
		},
	} {
		if err := loop(); !errors.Is(err, gone) {
			t.Errorf("%s: %v, want %v", name, err, gone)
		}
	}
}
