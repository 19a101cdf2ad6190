package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "a", "web")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		above, mode fs.FileMode
		want        string
	}{
		"our own":                    {0o755, 0o755, ""},
		"open to all":                {0o755, 0o757, "may be written to by every user (0757)"},
		"sticky, and open":           {0o755, fs.ModeSticky | 0o777, "may be written to by every user (0777)"},
		"what leads there":           {0o777, 0o755, filepath.Dir(root) + " may be written to by every user (0777)"},
		"what leads there is sticky": {fs.ModeSticky | 0o777, 0o755, ""},
	} {
		if err := errors.Join(os.Chmod(root, tt.mode), os.Chmod(filepath.Dir(root), tt.above)); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(dir, "link")
		_ = os.Remove(link)
		if err := os.Symlink(root, link); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{root, link} {
			if p, err := (placeHere{}).Place(path); err != nil || strings.TrimSpace(p.Changeable) != tt.want || p.ReadOnly {
				t.Errorf("%s: %+v, %v; want %q", name, p, err, tt.want)
			}
		}
	}
	for flags, want := range map[int64][2]bool{0: {}, unix.ST_NOEXEC | unix.ST_NODEV: {true, false}, unix.ST_RDONLY: {false, true}} {
		if noexec, readOnly := mounted(unix.Statfs_t{Flags: flags}); want != [2]bool{noexec, readOnly} {
			t.Errorf("flags %x: noexec %v, read-only %v", flags, noexec, readOnly)
		}
	}
	if _, err := (placeHere{}).Place(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such place: %v", err)
	}
}
