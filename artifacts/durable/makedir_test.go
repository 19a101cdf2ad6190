package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/durable"
)

func TestMakeDir(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	name := filepath.Join(dir, "a/b/c")
	if err := durable.MakeDir(name); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "a/b", "a/b/c"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != fs.ModeDir|0o755 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestMakeDirRepairs(t *testing.T) {
	for was, want := range map[fs.FileMode]fs.FileMode{
		0o755: 0o755, 0o700: 0o755, 0o000: 0o755, 0o777: 0o755, 0o770: 0o755,
		0o777 | fs.ModeSticky: 0o777 | fs.ModeSticky, 0o700 | fs.ModeSticky: 0o755 | fs.ModeSticky, 0o770 | fs.ModeSetgid: 0o755 | fs.ModeSetgid,
	} {
		dir := t.TempDir()
		name, link := filepath.Join(dir, "a"), filepath.Join(dir, "link")
		if err := errors.Join(os.Mkdir(name, 0o755), os.Symlink("a", link), os.Chmod(name, was), durable.MakeDir(link)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != fs.ModeDir|want {
			t.Errorf("%v becomes %v (%v), want %v", was, info.Mode(), err, want)
		}
	}
	// The directories above it were not made by koboshi.
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "a"), 0o755), os.Chmod(filepath.Join(dir, "a"), 0o700), durable.MakeDir(filepath.Join(dir, "a/b"))); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the directory above is %v, %v", info.Mode(), err)
	}
}

func TestMakeDirFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "file/a"} {
		if err := durable.MakeDir(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
