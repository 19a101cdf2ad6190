package tree

import (
	"io/fs"
	"testing"
)

// The tree in memory lets no path lead through a link. Should it ever fail to,
// the kernel still does not follow one.
func TestHandleFollowsNothing(t *testing.T) {
	for _, walk := range []bool{false, true} {
		y := newYard(t)
		must(t, y.dest.Symlink("../dest-evil", "out"))
		must(t, y.dest.Symlink("../canary", "file"))
		at, err := OpenHandle(y.dest)
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
		y.check(t)
	}
}
