package tree

import (
	"slices"
	"testing"
)

func TestDifference(t *testing.T) {
	file := func(path, sum string, offset int64) Entry {
		return Entry{Path: path, Type: TypeFile, Mode: 0o644, Size: 1, SHA256: sum, Offset: offset}
	}
	before := []Entry{file("same", "1", 512), file("edited", "1", 1536), file("gone", "1", 0), {Path: "dir", Type: TypeDir, Mode: 0o755}}
	after := []Entry{file("same", "1", 9999), file("edited", "2", 1536), file("new", "1", 0), {Path: "dir", Type: TypeSymlink, Link: "x"}}
	d := Difference(before, after)
	if d.Clean() || !slices.Equal(d.Added, []string{"new"}) || !slices.Equal(d.Removed, []string{"gone"}) || !slices.Equal(d.Altered, []string{"dir", "edited"}) {
		t.Errorf("%+v", d)
	}
	if d := Difference(after, after); !d.Clean() {
		t.Errorf("the same: %+v", d)
	}
}
