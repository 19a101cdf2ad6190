package instance

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLocalID(t *testing.T) {
	tests := []struct {
		content, want string
	}{
		{"i-0123456789abcdef0\n", "i-0123456789abcdef0"},
		{"i-0123456789abcdef0", "i-0123456789abcdef0"},
		{"i-01234567\n", "i-01234567"},
		{"", ""},
		{"Amazon EC2\n", ""},
		{"i-0123456789abcdef0\n\n", ""},
		{"i-0123456789ABCDEF0\n", ""},
		{"../../etc/passwd", ""},
		{"i-0123456789abcdef0" + string(make([]byte, 4096)), ""},
	}
	path := filepath.Join(t.TempDir(), "board_asset_tag")
	for _, tt := range tests {
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, ok := LocalID(path); id != tt.want || ok != (tt.want != "") {
			t.Errorf("%.32q: LocalID = %q, %v, want %q", tt.content, id, ok, tt.want)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "absent"), t.TempDir()} {
		if id, ok := LocalID(path); ok || id != "" {
			t.Errorf("LocalID(%s) = %q, %v, want none", path, id, ok)
		}
	}
}
