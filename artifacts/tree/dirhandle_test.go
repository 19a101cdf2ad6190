package tree

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"koboshi/artifacts/tree/treetest"

	"golang.org/x/sys/unix"
)

// The tree in memory lets no path lead through a link. If that check failed, the
// kernel still would not follow one.
func TestHandleFollowsNothing(t *testing.T) {
	for _, walk := range []bool{false, true} {
		y := treetest.NewYard(t)
		must(t, y.Dest.Symlink("../dest-evil", "out"))
		must(t, y.Dest.Symlink("../canary", "file"))
		at, err := OpenHandle(y.Dest)
		must(t, err)
		at.walk = walk
		for _, path := range []string{"out/canary", "out/new", "file", "file/x", "out"} {
			if f, err := at.CreateFile(&Entry{Path: path, Mode: 0o644}); err == nil {
				t.Errorf("walk %v: created %s", walk, path)
				must(t, f.Close())
			}
			for name, create := range map[string]func(*Entry) error{"mkdir": at.mkdir, "symlink": at.symlink} {
				if create(&Entry{Path: path, Mode: fs.ModePerm, Link: "x"}) == nil {
					t.Errorf("walk %v: %s %s", walk, name, path)
				}
			}
		}
		must(t, at.Close())
		y.Check(t)
	}
}

// A FIFO in the place of a file would keep its reader waiting.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	y := treetest.NewYard(t)
	must(t, y.Dest.Mkdir("dir", 0o755))
	must(t, y.Dest.WriteFile("dir/file", []byte("abc"), 0o644))
	must(t, unix.Mkfifo(filepath.Join(y.Path, "dest/dir/fifo"), 0o600))
	h, err := OpenHandle(y.Dest)
	must(t, err)
	defer func() { must(t, h.Close()) }()
	for _, path := range []string{"dir", "dir/fifo"} {
		if _, err := h.OpenFile(path); !errors.Is(err, errIrregular) {
			t.Errorf("%s: %v", path, err)
		}
	}
	f, err := h.OpenFile("dir/file")
	must(t, err)
	must(t, f.Close())
	for size, want := range map[int]string{2: "ab", 3: "abc", 9: "abc"} {
		buf := make([]byte, size)
		if n, err := h.ReadFile("dir/file", buf); err != nil || string(buf[:n]) != want {
			t.Errorf("%d bytes asked for: %q, %v", size, buf[:n], err)
		}
	}
}
