package store

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
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
			w, err := startWriteBack(tree, tree)
			if err != nil {
				t.Fatal(err)
			}
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
