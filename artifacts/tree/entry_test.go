package tree

import (
	"io/fs"
	"testing"
)

// A tree belongs to root, and the app is another user.
func TestFileMode(t *testing.T) {
	for was, want := range map[fs.FileMode]fs.FileMode{
		0o644: 0o644, 0o755: 0o755, 0o555: 0o555, 0o444: 0o444, 0o664: 0o644, 0o777: 0o755,
		0o600: 0o644, 0o640: 0o644, 0o400: 0o444, 0o000: 0o444,
		0o700: 0o755, 0o750: 0o755, 0o500: 0o555, 0o711: 0o755, 0o744: 0o755, 0o111: 0o555,
	} {
		if got := FileMode(was); got != want {
			t.Errorf("%04o becomes %04o, want %04o", was, got, want)
		}
		if again := FileMode(want); again != want {
			t.Errorf("%04o becomes %04o", want, again)
		}
	}
}
