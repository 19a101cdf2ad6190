package publish

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// imageTree is a directory with what an image has to carry.
func imageTree(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(top, "bin/deep"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "bin/web"), noise(70<<10), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "bin/deep/small"), []byte("small"), 0o644))
	must(t, os.Link(filepath.Join(top, "bin/web"), filepath.Join(top, "bin/web-again")))
	must(t, os.Symlink("bin/web", filepath.Join(top, "link")))
	must(t, os.WriteFile(filepath.Join(top, "zeros"), make([]byte, 9<<20), 0o644))
	return top
}

func packImage(t *testing.T, path string, opt Options) *Packed {
	t.Helper()
	in, err := Read(t.Context(), path, opt)
	must(t, err)
	p, err := in.PackImage(t.Context(), "linux/amd64", "erofs")
	must(t, err)
	must(t, in.Close())
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// stageImage makes the release's files of an artifact as an instance does, and
// returns the tree and the image.
func stageImage(t *testing.T, p *Packed) ([]tree.Entry, []byte) {
	t.Helper()
	meta, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer func() { must(t, meta.Close()) }()
	f, err := format.Of(p.artifact)
	must(t, err)
	entries, err := f.Stage(t.Context(), format.Target{Artifact: p.artifact, Meta: meta}, chunksOf(p, p.artifact))
	must(t, err)
	data, err := meta.ReadFile(format.ImageFile)
	must(t, err)
	return entries, data
}

// An image has the tree that an archive has, and the same bytes each time.
func TestPackImage(t *testing.T) {
	top := imageTree(t)
	p := packImage(t, top, Options{})
	if again := packImage(t, top, Options{}); again.artifact.SHA256 != p.artifact.SHA256 {
		t.Error("two images of one directory differ")
	}
	entries, data := stageImage(t, p)
	index, err := tree.ReadIndex(t.Context(), p.index, tree.MaxEntries)
	must(t, err)
	for i := range index {
		index[i].SHA256 = "" // an instance hashes the whole image
	}
	if diff := tree.Difference(index, entries); !diff.Clean() || len(entries) != 7 {
		t.Errorf("%+v, %+v", diff, entries)
	}
	if int64(len(data)) != p.artifact.Image.Size || p.artifact.Image.Size < 9<<20 || p.artifact.Size > 1<<20 {
		t.Errorf("%d bytes, %+v", len(data), p.artifact)
	}
	if web, err := os.ReadFile(filepath.Join(top, "bin/web")); err != nil || !bytes.Contains(data, web[:64<<10]) {
		t.Errorf("the image does not have the file: %v", err)
	}
}

// A ready image is taken as it is, in pieces without frames.
func TestPackReadyImage(t *testing.T) {
	_, data := stageImage(t, packImage(t, imageTree(t), Options{}))
	path := filepath.Join(t.TempDir(), "web.erofs")
	must(t, os.WriteFile(path, data, 0o644))
	w := newWorld(t)
	p := w.pack("linux/amd64", path)
	_, again := stageImage(t, p)
	if !bytes.Equal(again, data) || p.artifact.Framed() || p.artifact.Format != artifacts.Erofs || p.index != nil || p.artifact.Entries != 7 {
		t.Errorf("%+v", p.artifact)
	}
	d := w.draft("1.0", p)
	d.Hooks.PreStart = []string{"bin/web"}
	_, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	d = w.draft("1.1", p)
	d.Hooks.PreStart = []string{"bin/other"}
	_, err = Release(t.Context(), w.bucket, d)
	wantIs(t, err, ErrCommand)
}

func TestReadyImageRefused(t *testing.T) {
	_, data := stageImage(t, packImage(t, imageTree(t), Options{}))
	dir := t.TempDir()
	for name, opt := range map[string]Options{"strip": {Strip: 1}, "exclude": {Exclude: []string{"x"}}, "name": {Name: "x"}, "times": {KeepTimes: true}, "bundle": {CodeDeploy: true}} {
		path := filepath.Join(dir, name+".erofs")
		must(t, os.WriteFile(path, data, 0o644))
		_, err := Read(t.Context(), path, opt)
		wantIs(t, err, ErrInput)
	}
	for name, change := range map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)-4096] },
		"feature":   func(b []byte) []byte { b[1024+80] = 8; return b },
		"empty":     func([]byte) []byte { return make([]byte, 8192) },
	} {
		path := filepath.Join(dir, name+".erofs")
		must(t, os.WriteFile(path, change(bytes.Clone(data)), 0o644))
		_, err := Read(t.Context(), path, Options{})
		wantIs(t, err, tree.ErrRefused)
	}
	in, err := Read(t.Context(), filepath.Join(dir, "strip.erofs"), Options{})
	must(t, err)
	_, err = in.PackImage(t.Context(), "linux/amd64", "erofs")
	wantIs(t, err, ErrInput)
	must(t, in.Close())
}

// A release has a tree and images of it; only agents that know images read it.
func TestReleaseWithImages(t *testing.T) {
	w := newWorld(t)
	top := imageTree(t)
	d := w.draft("1.0", w.pack("linux/amd64", top), packImage(t, top, Options{}))
	released, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	m := released.Manifest
	a, err := m.Artifact("linux", "amd64")
	must(t, err)
	images := m.Images("linux", "amd64")
	if m.MinAgent == "" || a.Format != artifacts.TarZst || len(images) != 1 || images[0].Format != artifacts.Erofs || !strings.HasSuffix(images[0].Key, ".erofs") {
		t.Errorf("%+v", m)
	}
	again, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	if !again.Already {
		t.Error("the same release was published twice")
	}
	d.Packed = d.Packed[:1]
	_, err = Release(t.Context(), w.bucket, d)
	wantIs(t, err, ErrConflict)
	if out, err := AddDeltas(t.Context(), Base{Bucket: w.bucket, App: "web", Version: "1.0", Keys: d.Keys}, []*Packed{packImage(t, top, Options{})}, Options{}); err != nil || len(out) != 0 {
		t.Errorf("a delta of an image: %+v, %v", out, err)
	}
}

func TestImageIsCancelled(t *testing.T) {
	in, err := Read(t.Context(), imageTree(t), Options{})
	must(t, err)
	defer func() { must(t, in.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = in.PackImage(ctx, "linux/amd64", "erofs")
	wantIs(t, err, context.Canceled)
	if _, err = in.PackImage(t.Context(), "linux/amd64", "ext4"); err == nil || !strings.Contains(err.Error(), "want erofs or erofs-lz4 or erofs-zstd or squashfs") {
		t.Errorf("%v", err)
	}
}

func TestCheckImages(t *testing.T) {
	for kinds, want := range map[string]string{
		"erofs": "", "erofs-zstd squashfs erofs": "", "erofs squashfs": "", "squashfs erofs-lz4 erofs-zstd": "",
		"ext4": "want erofs or", "": "want erofs or", "erofs-lz4 erofs-lz4": "given twice",
		"erofs erofs-zstd": "put it first", "erofs squashfs erofs-lz4": "put it first",
	} {
		if err := CheckImages(strings.Split(kinds, " ")); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", kinds, err, want)
		}
	}
	if err := CheckImages(nil); err != nil {
		t.Errorf("%v", err)
	}
}

// A compressed image is made by a program, which may be missing.
func TestImageWithoutItsTool(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	in, err := Read(t.Context(), imageTree(t), Options{})
	must(t, err)
	defer func() { must(t, in.Close()) }()
	refused := func(kind, want string) {
		t.Helper()
		_, err := in.PackImage(t.Context(), "linux/amd64", kind)
		wantIs(t, err, ErrTool)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", kind, err, want)
		}
	}
	refused("squashfs", "mksquashfs is not installed: it is in the package squashfs-tools")
	refused("erofs-lz4", "erofs-utils")
	refused("erofs-zstd", "mkfs.erofs is not installed")
	for script, want := range map[string]string{
		"echo mkfs.erofs 1.5; exit 1": "mkfs.erofs 1.8 or later is not installed: it is in the package erofs-utils, of which this is 1.5",
		"echo mkfs.erofs 0.99":        "this is 0.99",
		"echo hello":                  "does not say its version (no version)",
		"exit 3":                      "exit status 3",
	} {
		must(t, os.WriteFile(filepath.Join(bin, "mkfs.erofs"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		refused("erofs-zstd", want)
	}
	for _, version := range []string{"mkfs.erofs (erofs-utils) 1.8.6", "mkfs.erofs 1.10-g01234", "mkfs.erofs 2.0"} {
		must(t, os.WriteFile(filepath.Join(bin, "mkfs.erofs"), []byte("#!/bin/sh\necho '"+version+"'\n"), 0o755))
		if _, err := in.PackImage(t.Context(), "linux/amd64", "erofs-zstd"); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v, want it to be run", version, err)
		}
	}
}

// A program that makes something else is found out.
func TestImageByAnotherTool(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	p := packImage(t, imageTree(t), Options{})
	_, other := stageImage(t, p)
	must(t, os.WriteFile(filepath.Join(bin, "other"), other, 0o644))
	zip := bytes.Clone(other)
	zip[1024+80] = 1 // LZ4 may be used
	must(t, os.WriteFile(filepath.Join(bin, "zip"), zip, 0o644))
	for script, want := range map[string]string{
		"exit 1": "exit status 1", "true": "no such file",
		"echo 'No space left on device'; exit 1": "mkfs.erofs " + os.TempDir() + "/koboshi-image-", // what fails is the path, and why
		"echo nothing >\"$6\"":                   "the image has 8",
		"while read -r x; do :; done <" + bin + "/other; exec /bin/cp " + bin + "/other \"$6\"": "is no erofs-lz4",
		"while read -r x; do :; done <" + bin + "/zip; exec /bin/cp " + bin + "/zip \"$6\"":     "is not of the tree",
	} {
		must(t, os.WriteFile(filepath.Join(bin, "mkfs.erofs"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		top := t.TempDir()
		must(t, os.WriteFile(filepath.Join(top, "another"), nil, 0o644))
		in, err := Read(t.Context(), top, Options{})
		must(t, err)
		if _, err := in.PackImage(t.Context(), "linux/amd64", "erofs-lz4"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
		must(t, in.Close())
	}
	in, err := Read(t.Context(), imageTree(t), Options{KeepTimes: true})
	must(t, err)
	_, err = in.PackImage(t.Context(), "linux/amd64", "erofs-lz4")
	wantIs(t, err, ErrInput)
	must(t, in.Close())
}
