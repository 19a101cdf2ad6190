package format

import (
	"slices"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

func TestParts(t *testing.T) {
	a := artifacts.Artifact{Index: &artifacts.Blob{}, Chunks: []artifacts.Chunk{{Plain: 10}, {Plain: 10}, {Plain: 5}}}
	for _, tt := range []struct {
		name  string
		files []tree.Entry
		want  []int // nil = not possible
	}{
		{"none", nil, []int{}},
		{"an empty one", []tree.Entry{{Offset: 25}}, []int{}},
		{"one in the first", []tree.Entry{{Size: 10}}, []int{0}},
		{"one across two", []tree.Entry{{Offset: 9, Size: 2}}, []int{0, 1}},
		{"one in the last", []tree.Entry{{Offset: 20, Size: 5}}, []int{2}},
		{"two that are far apart", []tree.Entry{{Offset: 24, Size: 1}, {Offset: 0, Size: 1}}, []int{0, 2}},
		{"all", []tree.Entry{{Size: 25}}, []int{0, 1, 2}},
		{"beyond the end", []tree.Entry{{Offset: 20, Size: 6}}, nil},
		{"far beyond the end", []tree.Entry{{Offset: 1 << 62, Size: 1 << 62}}, nil},
	} {
		if got, ok := Parts(a, tt.files); ok != (tt.want != nil) || ok && !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
	a.Chunks[0].Plain = 0
	if _, ok := Parts(a, nil); ok {
		t.Error("chunks that are no frames can be read by themselves")
	}
}
