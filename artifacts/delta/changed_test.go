package delta

import (
	"testing"

	"koboshi/artifacts/tree"
)

func TestMostSimilar(t *testing.T) {
	similar := func(paths ...string) (all []tree.Entry) {
		for _, p := range paths {
			all = append(all, tree.Entry{Path: p, Size: 1})
		}
		return all
	}
	for _, test := range []struct {
		name    string
		similar []tree.Entry
		want    string
	}{
		{"a/index.js", nil, ""},
		{"a/index.js", similar("b/index.js", "a/index.js"), "a/index.js"},
		{"node_modules/next-14.2/index.js", similar("node_modules/react-18/index.js", "node_modules/next-14.1/index.js"), "node_modules/next-14.1/index.js"},
		{"v2/lib/x.so", similar("v1/etc/x.so", "v1/lib/x.so"), "v1/lib/x.so"},
		{"a/a/x", similar("a/x"), "a/x"},
		{"x", []tree.Entry{{Path: "x"}}, ""}, // empty
	} {
		if got, ok := mostSimilar(test.name, test.similar); got.Path != test.want && ok || ok != (test.want != "") {
			t.Errorf("%s: %s, %v, want %s", test.name, got.Path, ok, test.want)
		}
	}
}
