package store

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/durable/durabletest"
	"koboshi/artifacts/tree"
)

// The kernel reports a lost write to an early sync only, not again to the last one.
func TestAnEarlyWriteBackThatFailsCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		grown []int64
		fails bool
	}{
		"one step":        {[]int64{writeBackStep}, true},
		"a step in parts": {[]int64{writeBackStep - 1, 1}, true},
		"less":            {[]int64{writeBackStep - 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tree.Close() }()
			w, err := newWriteBack(tree, tree)
			if err != nil {
				t.Fatal(err)
			}
			w.begin()
			whole := w.dir
			if w.dir, err = tree.Open("."); err != nil {
				t.Fatal(err)
			}
			_ = w.dir.Close() // a disk that fails for a while
			for _, n := range tc.grown {
				w.grow(n)
			}
			w.stop()
			w.dir = whole
			defer w.close()
			if err := w.sync(); errors.Is(err, unix.EBADF) != tc.fails {
				t.Errorf("%v, want an error: %v", err, tc.fails)
			}
		})
	}
}

// What is waited for is begun early; the app of a first release does not wait for the
// disk, and what is written past the page cache is there already.
func TestWhatIsWrittenBackEarly(t *testing.T) {
	padding := make([]byte, writeBackStep+8) // a frame that decoders skip
	binary.LittleEndian.PutUint32(padding, 0x184D2A50)
	binary.LittleEndian.PutUint32(padding[4:], writeBackStep)
	archive := func() Input {
		in := files{"bin/web": "1"}.release("1", artifacts.TarZst, false)
		c, _ := in.Content.(*content)
		c.pieces = slices.Insert(c.pieces, 0, tree.Frame{Data: padding})
		return in
	}
	single := func() Input {
		n := int64(len(padding))
		a := artifacts.Artifact{OS: "linux", Arch: "amd64", Format: artifacts.File, Size: n, SHA256: artifacts.Sum(padding), UnpackedBytes: n, Entries: 1}
		return sign("1", a, &content{pieces: slice(padding, writeBackStep)})
	}
	live := func(s *Store, in Input) error {
		_, err := s.Stage(t.Context(), in)
		return err
	}
	first := func(s *Store, in Input) error {
		staged, err := s.StageFirst(t.Context(), in)
		if err == nil {
			staged.built.disk.close()
		}
		return err
	}
	for name, tc := range map[string]struct {
		in    Input
		stage func(*Store, Input) error
		want  int
	}{
		"a tree":         {archive(), live, 2},
		"a first tree":   {archive(), first, 0},
		"one large file": {single(), live, 1},
	} {
		t.Run(name, func(t *testing.T) {
			syncs := 0
			disk := durabletest.New(t)
			disk.Lose = func(_ int, call string) bool {
				if call == "syncfs" {
					syncs++
				}
				return false
			}
			s := newStore(disk, t.TempDir(), trust)
			if err := s.complete(); err != nil {
				t.Fatal(err)
			}
			if err := tc.stage(s, tc.in); err != nil {
				t.Fatal(err)
			}
			if syncs != tc.want {
				t.Errorf("%d times to the disk, want %d", syncs, tc.want)
			}
		})
	}
}
