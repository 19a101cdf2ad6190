package publish

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// sample is what a tree may hold.
func sample(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	for name, size := range map[string]int{"empty": 0, "small": 100, "deep/er/file": 5000, "big": 100 << 10, "deep/" + strings.Repeat("long", 40) + "/ünï": 10} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(top, name), noise(size), 0o644))
	}
	must(t, os.Mkdir(filepath.Join(top, "hollow"), 0o700))
	must(t, os.WriteFile(filepath.Join(top, "run.sh"), []byte("#!/bin/sh\n"), 0o775))
	must(t, os.Chmod(filepath.Join(top, "run.sh"), 0o775))
	must(t, os.Symlink("../small", filepath.Join(top, "deep/link")))
	must(t, os.Link(filepath.Join(top, "small"), filepath.Join(top, "twin")))
	return top
}

// noise does not compress, and is the same every time.
func noise(size int) []byte {
	data := make([]byte, size)
	x := uint32(size)
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

func TestPackIsDeterministic(t *testing.T) {
	first := sample(t)
	second := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-r", "--preserve=mode,links", first, second).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Made in another order, with other times.
	must(t, os.Rename(filepath.Join(second, "big"), filepath.Join(second, "aside")))
	must(t, os.Rename(filepath.Join(second, "aside"), filepath.Join(second, "big")))
	must(t, os.Chtimes(filepath.Join(second, "deep"), time.Now(), time.Unix(1e9, 5)))
	must(t, os.Chtimes(filepath.Join(second, "small"), time.Now(), time.Unix(1e9, 5)))
	a, b := pack(t, first), pack(t, second)
	if x, y := a.Artifact(), b.Artifact(); x.SHA256 != y.SHA256 || !slices.Equal(x.Chunks, y.Chunks) {
		t.Errorf("two copies of a tree gave %s and %s", x.SHA256, y.SHA256)
	}
	if !bytes.Equal(a.Index(), b.Index()) {
		t.Error("two copies of a tree gave two indexes")
	}
	must(t, os.Chmod(filepath.Join(second, "small"), 0o755))
	if c := pack(t, second); c.Artifact().SHA256 == a.Artifact().SHA256 {
		t.Error("a file became executable, and the bytes are the same")
	}
}

func TestTreeRoundTrip(t *testing.T) {
	top := sample(t)
	must(t, os.WriteFile(filepath.Join(top, "edge"), make([]byte, artifacts.ChunkBytes), 0o644))
	must(t, os.WriteFile(filepath.Join(top, "over"), make([]byte, artifacts.ChunkBytes+1), 0o644))
	p := pack(t, top)
	a := p.Artifact()
	if !a.Framed() || len(a.Chunks) < 3 || a.OS != "linux" || a.Arch != "arm64" || a.Format != artifacts.TarZst {
		t.Fatalf("packed as %+v", a)
	}
	checkBytes(t, p)
	dir, entries := unpackFrames(t, p)
	var total int64
	for _, e := range entries {
		total += e.Size
	}
	if a.UnpackedBytes != total || a.Entries != int64(len(entries)) {
		t.Errorf("says %d bytes in %d entries, unpacked to %d in %d", a.UnpackedBytes, a.Entries, total, len(entries))
	}
	index, err := tree.ReadIndex(t.Context(), p.Index(), len(entries))
	must(t, err)
	if !slices.Equal(index, entries) {
		t.Errorf("index differs from what unpacking found:\n%+v\n%+v", index, entries)
	}
	compareTrees(t, top, dir)
	twin, err := os.Stat(filepath.Join(dir, "twin"))
	must(t, err)
	if small, err := os.Stat(filepath.Join(dir, "small")); err != nil || !os.SameFile(small, twin) {
		t.Errorf("two names of one file became two files, %v", err)
	}
}

// checkBytes holds the stored bytes against every hash of the artifact.
func checkBytes(t *testing.T, p *Packed) {
	t.Helper()
	a := p.Artifact()
	data, err := io.ReadAll(io.NewSectionReader(p, 0, a.Size+1))
	must(t, err)
	must(t, artifacts.CheckSum("the artifact", data, a.Size, a.SHA256))
	for i, c := range a.Chunks {
		must(t, a.CheckChunk(i, data[:c.Size]))
		data = data[c.Size:]
	}
	if len(data) != 0 {
		t.Errorf("%d bytes are in no chunk", len(data))
	}
}

// plainOf decodes the frames as an instance does.
func plainOf(t *testing.T, p *Packed) io.ReadCloser {
	t.Helper()
	a := p.Artifact()
	i, offset := 0, int64(0)
	return unpack.Frames(t.Context(), 2, func(context.Context) (tree.Frame, error) {
		if i == len(a.Chunks) {
			return tree.Frame{}, io.EOF
		}
		data := make([]byte, a.Chunks[i].Size)
		if _, err := p.ReadAt(data, offset); err != nil {
			return tree.Frame{}, err
		}
		frame := tree.Frame{Data: data, Plain: a.Chunks[i].Plain}
		offset += a.Chunks[i].Size
		i++
		return frame, nil
	})
}

// unpackFrames keeps to the promised limits.
func unpackFrames(t *testing.T, p *Packed) (string, []tree.Entry) {
	t.Helper()
	plain := plainOf(t, p)
	defer func() { must(t, plain.Close()) }()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	limits := tree.Limits{Bytes: p.Artifact().UnpackedBytes, Entries: p.Artifact().Entries}
	entries, err := unpack.Tar(t.Context(), plain, root, tree.Options{Limits: limits, Hash: true})
	must(t, err)
	return dir, entries
}

func TestHeadersTellNothingOfTheMachine(t *testing.T) {
	plain := plainOf(t, pack(t, sample(t)))
	defer func() { must(t, plain.Close()) }()
	archive := tar.NewReader(plain)
	for count := 0; ; count++ {
		h, err := archive.Next()
		if err == io.EOF && count == 12 {
			return
		}
		must(t, err)
		if h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.AccessTime.IsZero() || !h.ChangeTime.IsZero() {
			t.Errorf("%s has a time or an owner: %+v", h.Name, h)
		}
		if wantPAX := len(h.Name) > 100; (h.Format == tar.FormatPAX) != wantPAX || h.Format == tar.FormatGNU {
			t.Errorf("%s is in format %s", h.Name, h.Format)
		}
	}
}

func compareTrees(t *testing.T, want, got string) {
	t.Helper()
	count := 0
	must(t, filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		name, err := filepath.Rel(want, path)
		must(t, err)
		count++
		is, err := os.Lstat(filepath.Join(got, name))
		must(t, err)
		if is.Mode().Type() != d.Type() {
			t.Errorf("%s is %s, want %s", name, is.Mode(), d.Type())
		}
		if was, err := d.Info(); d.Type().IsRegular() && (err != nil || is.Mode().Perm() != was.Mode().Perm()&0o755) {
			t.Errorf("%s has mode %s, want that of %s within 0755", name, is.Mode(), was.Mode())
		}
		if d.Type().IsRegular() && !bytes.Equal(readFile(t, path), readFile(t, filepath.Join(got, name))) {
			t.Errorf("%s has other bytes", name)
		}
		return nil
	}))
	if count != 15 {
		t.Errorf("compared %d paths, want all 15", count)
	}
	if target, err := os.Readlink(filepath.Join(got, "deep/link")); err != nil || target != "../small" {
		t.Errorf("link to %q and %v", target, err)
	}
}

func TestRefusedTrees(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(top string) error
		names string
	}{
		"FIFO":          {func(top string) error { return syscall.Mkfifo(top+"/pipe", 0o644) }, "pipe"},
		"socket":        {func(top string) error { return syscall.Mknod(top+"/sock", syscall.S_IFSOCK|0o644, 0) }, "sock"},
		"setuid":        {func(top string) error { return os.Chmod(top+"/small", 0o755|fs.ModeSetuid) }, "small"},
		"setgid":        {func(top string) error { return os.Chmod(top+"/small", 0o755|fs.ModeSetgid) }, "small"},
		"absolute link": {func(top string) error { return os.Symlink("/etc/passwd", top+"/abs") }, "abs"},
		"escaping link": {func(top string) error { return os.Symlink("../../x", top+"/deep/out") }, "deep/out"},
		"two-hop escape": {func(top string) error {
			return errors.Join(os.Symlink("..", top+"/deep/up"), os.Symlink("deep/up/..", top+"/out"))
		}, "out"},
		"link loop":      {func(top string) error { return errors.Join(os.Symlink("b", top+"/a"), os.Symlink("a", top+"/b")) }, "a"},
		"not UTF-8":      {func(top string) error { return os.WriteFile(top+"/a\xff", nil, 0o644) }, `a\xff`},
		"not UTF-8, dir": {func(top string) error { return os.Mkdir(top+"/a\xff", 0o755) }, `a\xff`},
	} {
		t.Run(name, func(t *testing.T) {
			top, temp := sample(t), t.TempDir()
			must(t, c.spoil(top))
			_, err := Pack(t.Context(), "linux/amd64", top, Options{TempDir: temp})
			if !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), c.names) {
				t.Errorf("got %v, want a refusal that names %s", err, c.names)
			}
			wantEmpty(t, temp)
		})
	}
}

func TestModifiedWhilePacked(t *testing.T) {
	grow := func(path string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write([]byte("more"))
		return errors.Join(err, f.Close())
	}
	for name, spoil := range map[string]func(top string) error{
		"grown":   func(top string) error { return grow(top + "/small") },
		"cut":     func(top string) error { return os.Truncate(top+"/small", 3) },
		"touched": func(top string) error { return os.Chtimes(top+"/small", time.Now(), time.Unix(1, 0)) },
		"swapped": func(top string) error {
			return errors.Join(os.WriteFile(top+"/s", noise(100), 0o644), os.Rename(top+"/s", top+"/small"))
		},
		"added":                      func(top string) error { return os.WriteFile(top+"/deep/new", nil, 0o644) },
		"removed":                    func(top string) error { return os.Remove(top + "/deep/link") },
		"renamed":                    func(top string) error { return os.Rename(top+"/big", top+"/bigger") },
		"packed already, then grown": func(top string) error { return grow(top + "/big") },
	} {
		t.Run(name, func(t *testing.T) {
			top, temp := sample(t), t.TempDir()
			var once bool
			_, err := Pack(t.Context(), "linux/amd64", top, Options{TempDir: temp, Progress: func(done, _ int64) {
				if !once { // big is being read
					once = true
					must(t, spoil(top))
				}
			}})
			if !errors.Is(err, ErrModified) {
				t.Errorf("got %v, want %v", err, ErrModified)
			}
			wantEmpty(t, temp)
		})
	}
}

// A disk that is full by the last frame is noticed though nothing is written after it.
func TestFramerPassesOnErrorsOfTheDisk(t *testing.T) {
	seal, err := newSealer(t.TempDir())
	must(t, err)
	must(t, seal.file.Close())
	frames, err := newFramer(t.Context(), seal)
	must(t, err)
	_, err = frames.Write([]byte("the last frame"))
	must(t, err)
	if err := frames.close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v, want %v", err, fs.ErrClosed)
	}
}

func TestPackCancelled(t *testing.T) {
	top, temp := sample(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Pack(ctx, "linux/amd64", top, Options{TempDir: temp, Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	wantEmpty(t, temp)
}

func pack(t *testing.T, path string) *Packed {
	t.Helper()
	temp := t.TempDir()
	p, err := Pack(t.Context(), "linux/arm64", path, Options{TempDir: temp})
	must(t, err)
	wantEmpty(t, temp) // a process that is killed now leaves nothing
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left behind %v", left)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
