//go:build e2e

package mounts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts/image"
	"koboshi/artifacts/tree"
	"koboshi/systemd"
)

// newImage makes an image with one file.
func newImage(t *testing.T, path, text string) {
	t.Helper()
	w, err := image.NewWriter([]tree.Entry{{Path: "file", Type: tree.TypeFile, Mode: 0o644, Size: int64(len(text))}}, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := w.Write(&out, func(int) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The kernel mounts images one after the other; nothing is left of them, also where
// a file is still open when one is unmounted.
func TestE2EMountHere(t *testing.T) {
	var warnings []string
	m := New(func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) })
	m.dial = func(context.Context) (manager, error) { return nil, systemd.ErrNotBooted }
	top := t.TempDir()
	descriptors := count(t, "/proc/self/fd/*")
	for i := range 200 {
		path, dir := filepath.Join(top, fmt.Sprintf("image %d", i)), filepath.Join(top, fmt.Sprintf("tree %d", i))
		text := fmt.Sprintf("this is image %d", i)
		newImage(t, path, text)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.Mount(t.Context(), "erofs", path, dir); err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Stat(dir, &stat); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
		if is, mounted, err := m.Mounted(dir); err != nil || !mounted || is != path {
			t.Fatalf("%q, %v, %v", is, mounted, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err == nil {
			t.Fatal("an image was written to")
		}
		if err := m.Unmount(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if m.backing(stat.Dev) == path {
			t.Fatalf("the loop device of image %d is left", i)
		}
	}
	if len(warnings) != 0 || count(t, "/proc/self/fd/*") != descriptors {
		t.Errorf("%q, %d descriptors, before %d", warnings, count(t, "/proc/self/fd/*"), descriptors)
	}
	path := filepath.Join(top, "busy")
	newImage(t, path, "busy")
	dir := t.TempDir()
	if err := m.Mount(t.Context(), "erofs", path, dir); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(t.Context(), dir); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "still uses it") {
		t.Errorf("%v, %q", err, warnings)
	}
	if got, err := io.ReadAll(open); err != nil || string(got) != "busy" {
		t.Errorf("%q, %v", got, err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range glob(t, "/sys/block/loop*/loop/backing_file") {
		if data, _ := os.ReadFile(file); strings.HasPrefix(string(data), top) { // gone meanwhile
			t.Errorf("%s is left: %s", file, data)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func count(t *testing.T, pattern string) int { return len(glob(t, pattern)) }
