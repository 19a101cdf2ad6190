package flush

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/x.log", "a/x.log.1", "b/x.log", "c", "d/y"} {
		put(t, filepath.Join(dir, name), "")
	}
	for pattern, want := range map[string]string{
		"a/x.log": "a/x.log", "a/*": "a/x.log a/x.log.1", "*/x.log": "a/x.log b/x.log c/x.log d/x.log", "[ab]/*.log": "a/x.log b/x.log",
		"none/*": "", "c/*": "", "*/*/z": "a/x.log/z a/x.log.1/z b/x.log/z d/y/z",
	} {
		got, err := expand(filepath.Join(dir, pattern))
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], dir+"/")
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s: %q (%v), want %q", pattern, got, err, want)
		}
	}
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	if names, err := expand(filepath.Join(dir, "loop/*")); err == nil {
		t.Errorf("a directory that cannot be read: %q", names)
	}
}

// A file is known by its inode whatever leads to it; only regular files are held.
func TestFilesAreHeldOnce(t *testing.T) {
	dir := t.TempDir()
	log := put(t, filepath.Join(dir, "app.log"), lines)
	must(t, os.Link(log, filepath.Join(dir, "hard.log")))
	must(t, os.Symlink("app.log", filepath.Join(dir, "soft.log")))
	must(t, os.Symlink("gone", filepath.Join(dir, "dangling.log")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe.log"), 0o644))
	must(t, os.Mkdir(filepath.Join(dir, "dir.log"), 0o755))
	set := newFileSet([]string{filepath.Join(dir, "*.log")})
	t.Cleanup(set.close)
	for range 2 {
		files, err := set.measure()
		if err != nil || len(files) != 1 || files[0].size != 14 || files[0].tail != 0 {
			t.Fatalf("%+v: %v", files, err)
		}
	}
	must(t, os.Rename(log, filepath.Join(dir, "moved")))
	add(t, filepath.Join(dir, "moved"), "half")
	put(t, log, "new\n")
	files, err := set.measure()
	var sizes []int64
	for _, f := range files {
		sizes = append(sizes, f.size, f.tail)
	}
	if !slices.Equal(sizes, []int64{18, 4, 4, 0}) || err != nil {
		t.Errorf("sizes and tails %v: %v", sizes, err)
	}
}

func TestLongLastLine(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "x": 1, "\n": 0, "a\nbc": 2, strings.Repeat("x", maxTail+1): 0, strings.Repeat("x\n", maxTail) + "yy": 2} {
		set := newFileSet([]string{put(t, filepath.Join(t.TempDir(), "log"), text)})
		files, err := set.measure()
		if err != nil || len(files) != 1 || files[0].tail != want {
			t.Errorf("%d bytes: %+v (%v), want %d after the last newline", len(text), files, err, want)
		}
		set.close()
	}
}
