//go:build e2e

package publish

import (
	"testing"

	"koboshi/artifacts/tree"
)

// The programs of Debian make images with the same tree, twice the same bytes.
func TestE2ETools(t *testing.T) {
	top := imageTree(t)
	for kind := range tools() {
		var before *Packed
		for range 2 {
			in, err := Read(t.Context(), top, Options{TempDir: t.TempDir()})
			must(t, err)
			p, err := in.PackImage(t.Context(), "linux/amd64", kind)
			must(t, err)
			must(t, in.Close())
			t.Cleanup(func() { must(t, p.Close()) })
			if before != nil && before.artifact.SHA256 != p.artifact.SHA256 {
				t.Errorf("%s: two images of one tree differ", kind)
			}
			before = p
		}
		entries, _ := stageImage(t, before)
		index, err := tree.ReadIndex(t.Context(), before.index, tree.MaxEntries)
		must(t, err)
		if diff := tree.Difference(withoutHashes(index), entries); !diff.Clean() || len(entries) != 7 {
			t.Errorf("%s: %+v, %d entries", kind, diff, len(entries))
		}
	}
}
