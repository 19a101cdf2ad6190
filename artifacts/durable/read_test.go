package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"koboshi/artifacts/durable"
)

func TestReadFile(t *testing.T) {
	path := t.TempDir()
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	err = errors.Join(
		dir.WriteFile("five", []byte("12345"), 0o600), dir.WriteFile("six", []byte("123456"), 0o600), dir.WriteFile("empty", nil, 0o600),
		dir.Symlink("five", "link"), dir.Symlink("/etc/passwd", "out"), dir.Symlink("loop", "loop"),
		dir.Mkdir("directory", 0o700), syscall.Mkfifo(path+"/fifo", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"five": nil, "empty": nil, "none": fs.ErrNotExist,
		"six": durable.ErrUnusable, "link": durable.ErrUnusable, "out": durable.ErrUnusable, "loop": durable.ErrUnusable,
		"directory": durable.ErrUnusable, "fifo": durable.ErrUnusable,
	} {
		data, err := durable.ReadFile(dir, name, 5)
		if !errors.Is(err, want) || want != nil && data != nil {
			t.Errorf("%s: %q, error %v, want %v", name, data, err, want)
		}
		if name == "five" && string(data) != "12345" {
			t.Errorf("%s: %q", name, data)
		}
	}
}
