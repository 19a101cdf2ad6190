package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

func TestStage(t *testing.T) {
	app := files{"bin/web": "#!/bin/sh\n", "etc/conf": strings.Repeat("x = 1\n", 1000), "web": "executable", "meta/complete": "the app's own"}
	for name, tc := range map[string]struct {
		format artifacts.Format
		framed bool
		want   files
	}{
		"framed tar.zst":   {artifacts.TarZst, true, app},
		"unframed tar.zst": {artifacts.TarZst, false, app},
		"tar.gz":           {artifacts.TarGz, false, app},
		"file":             {artifacts.File, false, files{"web": "executable"}},
	} {
		t.Run(name, func(t *testing.T) {
			old := unix.Umask(0o077) // which must not decide who reads a tree
			defer unix.Umask(old)
			s := open(t)
			in := app.release("1.0", tc.format, tc.framed)
			if _, ok, err := s.Find(in.Manifest); ok || err != nil {
				t.Fatalf("found before it was staged: %v, %v", ok, err)
			}
			r, err := s.Stage(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			found, ok, err := s.Find(in.Manifest)
			if !ok || err != nil || found.ID() != r.ID() {
				t.Errorf("find: %v %v %v", found.ID(), ok, err)
			}
			if want := "1.0-" + in.Manifest.SHA256().Short(); r.ID() != want || r.Dir() != filepath.Join(s.Dir(), "releases", want, "tree") {
				t.Errorf("release %s at %s, want %s", r.ID(), r.Dir(), want)
			}
			if seen, ok := r.SeenOn("stable"); !ok || seen.Pointer.Sequence().Number != 7 || !seen.Seen.Equal(noon) {
				t.Errorf("seen on stable: %v, at %v", ok, seen.Seen)
			}
			checkTree(t, r.Dir(), tc.want)
			if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
				t.Errorf("verify: %+v, %v", diff, err)
			}
			if left := must(os.ReadDir(filepath.Join(s.Dir(), ".staging"))); len(left) != 0 {
				t.Errorf("left in .staging: %v", left)
			}
		})
	}
}

func checkTree(t *testing.T, dir string, want files) {
	t.Helper()
	got := picture(t, filepath.Dir(dir))
	for name, mode := range map[string]string{".": "drwxr-xr-x", "tree": "drwxr-xr-x", "meta": "drwxr-xr-x", "meta/pointers": "drwxr-xr-x"} {
		if got[name] != mode {
			t.Errorf("%s is %s, want %s", name, got[name], mode)
		}
	}
	for name, data := range maps.All(want) {
		if mode, text, _ := strings.Cut(got["tree/"+name], " "); text != data || !strings.HasSuffix(mode, "r--") && !strings.HasSuffix(mode, "r-x") {
			t.Errorf("%s is %s with %d bytes", name, mode, len(text))
		}
	}
	for _, name := range []string{"manifest", "pointers/stable", "index", "complete"} {
		if !strings.HasPrefix(got["meta/"+name], "-rw-r--r-- ") {
			t.Errorf("meta/%s: %q", name, got["meta/"+name])
		}
	}
}

// Whatever goes wrong while staging, its error keeps its class, and nothing on
// the disk has changed.
func TestStageFails(t *testing.T) {
	broken := errors.New("the network is gone")
	cause := errors.New("interrupted")
	app := files{"bin/web": "2"}
	for name, tc := range map[string]struct {
		spoil func(*testing.T, *Store, *Input) context.Context
		want  error
	}{
		"content breaks off": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			c := in.Content.(*content)
			c.pieces, c.end = c.pieces[:1], broken
			return nil
		}, broken},
		"whole hash does not hold": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			in.Content.(*content).end = &artifacts.MismatchError{What: "web"}
			return nil
		}, artifacts.ErrIntegrity},
		"hostile path": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			*in = files{"../evil": "x"}.release("2", artifacts.TarGz, false)
			return nil
		}, tree.ErrRefused},
		"hostile path, and the network hangs": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			*in = files{"../evil": "x", "noise": noise}.release("2", artifacts.TarGz, false)
			c := in.Content.(*content)
			c.pieces, c.hang = c.pieces[:len(c.pieces)/2], true
			return nil
		}, tree.ErrRefused},
		"hostile path in a large archive": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			*in = files{"../evil": "x", "noise": noise, "noise2": noise}.release("2", artifacts.TarGz, false)
			return nil
		}, tree.ErrRefused},
		"a path to what the store keeps": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			*in = files{"../meta/healthy": "x"}.release("2", artifacts.TarZst, true)
			return nil
		}, tree.ErrRefused},
		"frame that does not decode": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			in.Content.(*content).pieces[0].Plain++
			return nil
		}, tree.ErrRefused},
		"bytes after the archive": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			*in = app.release("2", artifacts.TarGz, false)
			c := in.Content.(*content)
			c.pieces = append(c.pieces, tree.Frame{Data: []byte("more")})
			return nil
		}, tree.ErrRefused},
		"more than was signed": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			in.Artifact.UnpackedBytes = 0
			return nil
		}, tree.ErrRefused},
		"another index": {func(_ *testing.T, _ *Store, in *Input) context.Context {
			in.Artifact.Index = &artifacts.Blob{Key: "index", Size: 5, SHA256: artifacts.Sum([]byte("index"))}
			in.Index = []byte("Index")
			return nil
		}, artifacts.ErrIntegrity},
		"cancelled": {func(t *testing.T, _ *Store, _ *Input) context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			return ctx
		}, cause},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			one := stage(t, s, "1")
			activate(t, s, one)
			healthyNow(t, s, one, "i-1", noon)
			before := picture(t, filepath.Dir(s.Dir()))
			in := app.release("2", artifacts.TarZst, true)
			ctx := tc.spoil(t, s, &in)
			if ctx == nil {
				ctx = t.Context()
			}
			if _, err := s.Stage(ctx, in); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			} else if disk := errors.Is(err, ErrDisk); disk != errors.Is(tc.want, ErrDisk) || strings.Count(err.Error(), "disk:") > 1 {
				t.Errorf("%v: the disk's fault: %v", err, disk)
			}
			if n := in.Content.(*content).lent.Load(); n != 0 {
				t.Errorf("%d pieces were not released", n)
			}
			samePicture(t, picture(t, filepath.Dir(s.Dir())), before)
		})
	}
}

// A step that the disk refuses is ErrDisk with its errno, and the store is as
// it was.
func TestDiskFails(t *testing.T) {
	s := open(t)
	activate(t, s, stage(t, s, "1"))
	before := picture(t, s.Dir())
	for i, step := range []string{"stage", "write documents", "sync the tree", "write complete", "publish"} {
		errno := []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS, unix.ENOSPC}[i]
		s.before = func(now string) error {
			if now == step {
				return &fs.PathError{Op: "test", Err: errno}
			}
			return nil
		}
		_, err := s.Stage(t.Context(), files{"a": "2"}.release("2", artifacts.TarGz, false))
		if !errors.Is(err, ErrDisk) || !errors.Is(err, errno) {
			t.Errorf("%s: %v: got %v", step, errno, err)
		}
		samePicture(t, picture(t, s.Dir()), before)
	}
}

func TestDiskErrorIsSaidOnce(t *testing.T) {
	if err := onDisk("install", onDisk("sync", unix.EIO)); err.Error() != "disk: sync: input/output error" {
		t.Error(err)
	}
}

// Staging again replaces what is there: that is how an altered or incomplete
// tree is repaired.
func TestStageReplaces(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"altered":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "bin/web"), []byte("evil"), 0o644) },
		"incomplete": func(dir string) error { return os.Remove(filepath.Join(dir, "../meta/complete")) },
		"torn": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "../meta/complete"), []byte(`{"ve`), 0o644)
		},
		"empty": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			r := stage(t, s, "1")
			healthyNow(t, s, r, "i-1", noon)
			if err := damage(r.Dir()); err != nil {
				t.Fatal(err)
			}
			again := stage(t, s, "1")
			if again.ID() != r.ID() || again.HealthyOn("i-1") {
				t.Errorf("%s, healthy %v: want %s, which has to pass the gate again", again.ID(), again.HealthyOn("i-1"), r.ID())
			}
			if diff, err := s.Verify(t.Context(), again); err != nil || !diff.Clean() {
				t.Errorf("verify: %+v, %v", diff, err)
			}
		})
	}
}

// An archive that was made elsewhere may need more memory than every decoder has.
func TestStageWithALargeWindow(t *testing.T) {
	var packed bytes.Buffer
	enc := must(zstd.NewWriter(&packed, zstd.WithWindowSize(32<<20)))
	_, _ = enc.Write(files{"web": strings.Repeat("executable", 100_000)}.tar())
	_ = enc.Close()
	in := func() Input {
		data := packed.Bytes()
		a := artifacts.Artifact{OS: "linux", Arch: "amd64", Format: artifacts.TarZst, Size: int64(len(data)), SHA256: artifacts.Sum(data), UnpackedBytes: 4 << 20, Entries: 100}
		return sign("1.0", a, &content{pieces: slice(data, 1000)})
	}
	s := open(t)
	if _, err := s.Stage(t.Context(), in()); !errors.Is(err, tree.ErrRefused) {
		t.Errorf("with the memory of every decoder: %v", err)
	}
	s.Window = 32 << 20
	if _, err := s.Stage(t.Context(), in()); err != nil {
		t.Error(err)
	}
}
