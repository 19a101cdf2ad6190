package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/durable"
)

func TestMkdirAllUnderAnyUmask(t *testing.T) {
	dir := t.TempDir()
	defer unix.Umask(unix.Umask(0o077))
	kept := filepath.Join(dir, "kept")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := durable.MkdirAll(filepath.Join(kept, "a/b"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{"kept": 0o700, "kept/a": 0o755, "kept/a/b": 0o755} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestMkdirAllWhereSomethingElseIs(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/at/all", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "file/below", "dangling", "dangling/below"} {
		if err := durable.MkdirAll(filepath.Join(dir, name), 0o755); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
