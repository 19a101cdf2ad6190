package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
		s, err := Open(dir, trust) // the second time it repairs what is there
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
	if s, err := Open(filepath.Join(dir, "releases", "web"), trust); s != nil || !errors.Is(err, ErrDisk) {
		t.Errorf("beneath a file: %v, %v", s, err)
	}
	if s, err := Open(dir, trust); s != nil || !errors.Is(err, ErrDisk) {
		t.Errorf("with a file for releases: %v, %v", s, err)
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

// The error lists separately what is needed, the margin, what is free and what is
// reserved.
func TestSpaceError(t *testing.T) {
	err := fits(unix.Statfs_t{Bsize: 4096, Bavail: 1, Bfree: 3001}, format.Space{Bytes: 1 << 20, Entries: 2})
	want := "disk: no space: 1052672 bytes needed, with a margin of 33554432, and 4096 are free (12288000 more are the file system's reserve for root, which is left alone)"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

// Releases are deleted before an install only where there is no room, and then
// no more than needed.
func TestMakeRoom(t *testing.T) {
	s := open(t)
	var all []Release
	for _, version := range []string{"1", "2", "3", "4", "5"} {
		all = append(all, stage(t, s, version))
	}
	for _, r := range all[:4] {
		healthyNow(t, s, r, "i-1", noon)
	}
	activate(t, s, all[1])
	activate(t, s, all[0]) // 4 is the previous one, 3 the base, 5 itself
	left := filepath.Join(s.Dir(), ".staging", "1.x")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	in := files{"bin/web": "5"}.release("5", artifacts.TarZst, true)
	in.Artifact.UnpackedBytes, in.Artifact.Entries = 1<<20, 1
	in.Delta = &DeltaUpdate{Base: all[2], Delta: artifacts.Delta{Size: 1 << 20}}
	things := func() int { return len(must(s.names(releasesDir))) + len(must(s.names(stagingDir))) }
	for _, tc := range []struct {
		things int // how many trees and deltas fit on the disk, the new ones included
		left   []string
		full   bool
	}{
		{6, []string{"1", "2", "3", "4", "5"}, false},
		{5, []string{"1", "2", "3", "4", "5"}, false},
		{4, []string{"1", "3", "4", "5"}, false},
		{3, []string{"1", "3", "4", "5"}, true},
	} {
		s.free = func() (unix.Statfs_t, error) {
			megabytes := 2 + int64(tc.things-things()) // each thing is one; the new tree and delta are two
			return unix.Statfs_t{Bsize: 4096, Bavail: uint64(spareBytes/4096 + 256*megabytes + 1)}, nil
		}
		_, err := s.MakeRoom(t.Context(), in)
		if _, full := errors.AsType[*SpaceError](err); full != tc.full || !full && err != nil {
			t.Errorf("room for %d: %v", tc.things, err)
		}
		if got := ids(must(s.Releases())); !slices.Equal(got, tc.left) {
			t.Errorf("room for %d: left %v, want %v", tc.things, got, tc.left)
		}
		if _, err := os.Stat(left); (err == nil) != (tc.things == 6) {
			t.Errorf("room for %d: what a crash left: %v", tc.things, err)
		}
	}
	in.Delta.Delta.Size = 1 << 60
	if _, err := s.MakeRoom(t.Context(), in); !errors.Is(err, ErrDisk) {
		t.Errorf("a delta that does not fit: %v", err)
	}
}
