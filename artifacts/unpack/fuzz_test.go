package unpack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"koboshi/artifacts/tree"
	"koboshi/artifacts/tree/treetest"
)

// Whatever the bytes are, they are unpacked or refused, without an error of the
// disk; nothing outside is touched, and no link leads there.
func FuzzTar(f *testing.F) {
	for _, test := range hostile {
		var archive tape
		test.build(&archive)
		if archive.Len() < 8<<10 {
			f.Add(archive.Bytes())
		}
	}
	fixtures, err := filepath.Glob("testdata/*.tar.gz")
	must(f, err)
	for _, name := range fixtures {
		packed, err := os.ReadFile(name)
		must(f, err)
		plain, err := Gzip(bytes.NewReader(packed))
		must(f, err)
		archive, err := io.ReadAll(plain)
		must(f, err)
		f.Add(archive)
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		y := treetest.NewYard(t)
		index, err := Tar(t.Context(), bytes.NewReader(healed(archive)), y.Dest, roomy)
		y.Check(t)
		if err != nil {
			if !errors.Is(err, tree.ErrRefused) {
				t.Errorf("neither unpacked nor refused: %v", err)
			}
			return
		}
		if got, want := slices.Sorted(maps.Keys(y.Tree(t))), slices.Sorted(slices.Values(paths(index))); !slices.Equal(got, want) {
			t.Errorf("made %q, index %q", got, want)
		}
		checkLinks(t, y, index)
	})
}

// healed gives every header its checksum, or hardly any mutation would get
// past that.
func healed(archive []byte) []byte {
	archive = bytes.Clone(archive)
	for block := range slices.Chunk(archive, blockSize) {
		if len(block) == blockSize && bytes.HasPrefix(block[257:], []byte("ustar")) {
			setChecksum(block)
		}
	}
	return archive
}

func checkLinks(t *testing.T, y *treetest.Yard, index []tree.Entry) {
	t.Helper()
	for _, e := range index {
		if e.Type != tree.TypeSymlink {
			continue
		}
		_, err := y.Dest.Stat(e.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s -> %s: %v", e.Path, e.Link, err)
		}
	}
}

// A frame decodes to exactly its signed size, or is refused.
func FuzzFrames(f *testing.F) {
	for _, plain := range []string{"", "x", "koboshi koboshi koboshi koboshi"} {
		f.Add(zstdFrame(f, []byte(plain)), int64(len(plain)))
	}
	f.Add(zeros(f, 64<<20), int64(100))
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		r := &reel{end: io.EOF, frames: []tree.Frame{{Data: data, Plain: size}}}
		plain := Frames(context.Background(), 1, r.next)
		n, err := io.Copy(io.Discard, plain)
		must(t, plain.Close())
		if err == nil && n != size || err != nil && (n != 0 || !errors.Is(err, tree.ErrRefused)) {
			t.Errorf("%d bytes of %d, %v", n, size, err)
		}
		if r.held.Load() != 0 {
			t.Error("not released")
		}
	})
}
