package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/tree"
)

// Everything that is wrong with a directory is found in one run.
func TestFindings(t *testing.T) {
	top := sample(t)
	must(t, syscall.Mkfifo(top+"/pipe", 0o644))
	must(t, os.Chmod(top+"/empty", 0o755|fs.ModeSetuid))
	must(t, os.Symlink("/etc/passwd", top+"/deep/abs"))
	must(t, os.Symlink("../..", top+"/deep/out"))
	must(t, os.WriteFile(top+"/run.sh", []byte("#!/bin/sh\ncd "+top+"\n"), 0o644))
	must(t, os.WriteFile(top+"/holes", nil, 0o644))
	must(t, os.Truncate(top+"/holes", 4<<20))
	must(t, os.Chmod(top+"/big", 0o640))
	must(t, unix.Setxattr(top+"/small", "user.note", []byte("x"), 0))
	in, err := Read(t.Context(), top, Options{})
	must(t, err)
	defer func() { must(t, in.Close()) }()
	var got strings.Builder
	for _, f := range in.Findings() {
		fmt.Fprintf(&got, "%s %s %s\n", f.Level, f.Check, f.Path)
	}
	want := `error link deep/abs
error link deep/out
error special pipe
error setuid empty
warning build-path run.sh
warning mode big
warning mode hollow
warning attribute small
warning sparse holes
`
	if got.String() != want {
		t.Errorf("found\n%swant\n%s", got.String(), want)
	}
	if _, err := in.Pack(t.Context(), "linux/amd64"); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), ", and 3 more") {
		t.Errorf("packed all the same, %v", err)
	}
}

// What is published is what was checked.
func TestSwappedAfterReading(t *testing.T) {
	for name, spoil := range map[string]func(top string) error{
		"a link for a file": func(top string) error {
			return errors.Join(os.Remove(top+"/small"), os.Symlink("/etc/passwd", top+"/small"))
		},
		"another file": func(top string) error { return os.WriteFile(top+"/new", nil, 0o644) },
	} {
		top := sample(t)
		in, err := Read(t.Context(), top, Options{})
		must(t, err)
		must(t, spoil(top))
		if _, err := in.Pack(t.Context(), "linux/amd64"); err == nil {
			t.Errorf("%s: packed all the same", name)
		}
		must(t, in.Close())
	}
}

// BenchmarkLint is of 50,000 files, a quarter of them scripts.
func BenchmarkLint(b *testing.B) {
	top := b.TempDir()
	for i := range 50_000 {
		dir := filepath.Join(top, fmt.Sprintf("lib/p%d/src/m%d", i/1000, i/50%20))
		mode := fs.FileMode(0o644)
		if i%4 == 0 {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("#!/usr/bin/env python3\nprint(1)\n"), mode)); err != nil {
			b.Fatal(err)
		}
	}
	before := cpuTime(b)
	for b.Loop() {
		in, err := Read(b.Context(), top, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := in.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
