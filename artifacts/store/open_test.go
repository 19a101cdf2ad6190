package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
)

func TestOpen(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "opt", "web")
	for range 2 {
		s, err := Open(dir, trust) // the second time what is there is put right
		if err != nil {
			t.Fatal(err)
		}
		got := picture(t, dir)
		if got["releases"] != "drwxr-xr-x" || got[".staging"] != "drwx------" || len(got) != 3 {
			t.Errorf("made %v", got)
		}
		if err := errors.Join(s.Close(), os.Chmod(filepath.Join(dir, ".staging"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"releases", ".staging"} {
		if err := errors.Join(os.Remove(filepath.Join(dir, name)), os.WriteFile(filepath.Join(dir, name), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, trust); !errors.Is(err, ErrDisk) {
			t.Errorf("%s is a file: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "releases", "web"), trust); !errors.Is(err, ErrDisk) {
		t.Errorf("beneath a file: %v", err)
	}
}

func TestCheckSpace(t *testing.T) {
	s := open(t)
	if err := s.CheckSpace(artifacts.Artifact{Format: artifacts.TarZst, UnpackedBytes: 1, Entries: 1}); err != nil {
		t.Errorf("one byte: %v", err)
	}
	err := s.CheckSpace(artifacts.Artifact{Format: artifacts.TarZst, UnpackedBytes: 1 << 60, Entries: 1})
	if space, ok := errors.AsType[*SpaceError](err); !ok || space.What != "bytes" || !errors.Is(err, ErrDisk) {
		t.Errorf("an exbibyte: %v", err)
	}
}

func TestFits(t *testing.T) {
	disk := unix.Statfs_t{Bsize: 4096, Bavail: 100_000, Files: 1 << 20, Ffree: 10_000} // 400 MB, 10,000 inodes
	for name, tc := range map[string]struct {
		bytes, entries int64
		change         func(*unix.Statfs_t)
		want           string
	}{
		"room":                        {300 << 20, 8000, nil, ""},
		"a tree that fills it":        {400 << 20, 10, nil, "bytes"},
		"nothing spared":              {100_000*4096 - 1<<20, 10, nil, "bytes"},
		"many small files waste some": {300 << 20, 8000, func(s *unix.Statfs_t) { s.Bavail -= 15_000 }, "bytes"},
		"too many entries":            {1, 9500, nil, "inodes"},
		"inodes made as needed":       {1, 9500, func(s *unix.Statfs_t) { s.Files, s.Ffree = 0, 0 }, ""},
	} {
		disk := disk
		if tc.change != nil {
			tc.change(&disk)
		}
		err := fits(disk, format.Space{Bytes: tc.bytes, Entries: tc.entries})
		space, full := errors.AsType[*SpaceError](err)
		if full != (tc.want != "") || full && space.What != tc.want {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// Only where there is no room is anything deleted before an install.
func TestStageSweepsWhenFull(t *testing.T) {
	s := open(t)
	left := filepath.Join(s.Dir(), ".staging", "1.x")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	stage(t, s, "1")
	if _, err := os.Stat(left); err != nil {
		t.Errorf("swept though there was room: %v", err)
	}
	in := files{"a": "2"}.release("2", artifacts.TarGz, false)
	in.Artifact.UnpackedBytes = 1 << 60
	if _, err := s.Stage(t.Context(), in); !errors.Is(err, ErrDisk) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("not swept though there was no room: %v", err)
	}
}
