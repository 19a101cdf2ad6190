package tree

import (
	"fmt"
	"slices"
	"testing"
)

// Every fault is reported once, and a good entry next to it is none.
func TestFaults(t *testing.T) {
	link := func(path, target string) Entry { return Entry{Path: path, Type: TypeSymlink, Link: target} }
	file := func(path string) Entry { return Entry{Path: path, Type: TypeFile, Mode: 0o644} }
	var got []string
	for _, fault := range Faults([]Entry{
		link("abs", "/etc"), {Path: "dir", Type: TypeDir, Mode: DirMode}, file("dir/file"), link("dir/good", "file"),
		link("dir/up", ".."), link("loop", "pool"), link("out", "dir/up/.."), link("out2", "../x"), link("pool", "loop"),
		link("to-abs", "abs"), link("to-out", "out"), file("x\xff"),
	}) {
		got = append(got, fmt.Sprintf("%s: %s", fault.Entry, fault.Reason))
	}
	want := []string{
		"abs: link target: absolute", "x\xff: not UTF-8",
		"loop: link loop", `out: link to "dir/up/..", which is outside`, `out2: link to "../x", which is outside`, "pool: link loop",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
