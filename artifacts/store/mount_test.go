package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/image"
	"koboshi/artifacts/tree"
)

// imageOf is a release that is an erofs image with one file.
func imageOf(t *testing.T, version string) Input {
	t.Helper()
	w, err := image.NewWriter([]tree.Entry{{Path: "VERSION", Type: tree.TypeFile, Mode: 0o644, Size: int64(len(version))}}, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := w.Write(&out, func(int) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(version)), nil }); err != nil {
		t.Fatal(err)
	}
	sum := artifacts.Sum(out.Bytes())
	a := artifacts.Artifact{OS: "linux", Arch: "amd64", Key: "releases/" + version + "/web.erofs", Format: artifacts.Erofs, Size: int64(out.Len()), SHA256: sum,
		UnpackedBytes: 100, Entries: 1, Chunks: []artifacts.Chunk{{Size: int64(out.Len()), SHA256: sum}},
		Image: &artifacts.Image{Size: int64(out.Len()), Pieces: artifacts.SumOf([]artifacts.Digest{sum})}}
	return sign(version, a, &content{pieces: []tree.Frame{{Data: out.Bytes()}}}, func(m *artifacts.Manifest) { m.MinAgent = "0.1.0" })
}

// kernel mounts nothing, and says that it did.
type kernel struct {
	t       *testing.T
	store   *Store
	mounted map[string]string // directory: image
	cannot  error
	fails   error
	busy    error                     // of unmounting
	looks   func(image string) string // like, once it is mounted
	lookErr error
	hangs   bool
	did     []string
}

func newKernel(t *testing.T, s *Store) *kernel {
	k := &kernel{t: t, store: s, mounted: map[string]string{}, looks: func(image string) string { return image }}
	s.Mounts = k
	return k
}

func (k *kernel) Can(context.Context, string) error { return k.cannot }

func (k *kernel) Mount(ctx context.Context, filesystem, image, dir string) error {
	if k.hangs {
		<-ctx.Done()
		return errors.New("interrupted")
	}
	k.did = append(k.did, "mount "+filesystem)
	if k.fails == nil {
		k.mounted[dir] = image
	}
	return k.fails
}

func (k *kernel) Unmount(_ context.Context, dir string) error {
	k.did = append(k.did, "unmount")
	if k.mounted[dir] == "" {
		k.t.Errorf("%s is not mounted, and to be unmounted", dir)
	}
	if k.busy == nil {
		delete(k.mounted, dir)
	}
	return k.busy
}

func (k *kernel) Mounted(dir string) (string, bool, error) {
	image, mounted := k.mounted[dir]
	return k.looks(image), mounted, k.lookErr
}

func (k *kernel) wantDone(want string) {
	k.t.Helper()
	if got := strings.Join(k.did, ", "); got != want {
		k.t.Errorf("did %q, want %q", got, want)
	}
	k.did = nil
}

// An image is mounted once, found after a reboot, verified, and unmounted before its
// directory goes.
func TestMount(t *testing.T) {
	s := open(t)
	k := newKernel(t, s)
	r := must(s.Stage(t.Context(), imageOf(t, "1")))
	for range 2 {
		if err := s.Mount(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	k.wantDone("mount erofs")
	if want := filepath.Join(filepath.Dir(r.Dir()), "meta", "image"); k.mounted[r.Dir()] != want {
		t.Errorf("mounted is %q, want %q", k.mounted[r.Dir()], want)
	}
	clear(k.mounted) // a reboot
	r, found, err := s.Find(r.Manifest())
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if err := s.Mount(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	k.wantDone("mount erofs")
	if diff, err := s.Verify(t.Context(), r); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
	if err := os.WriteFile(meta(r, "image"), []byte("altered"), 0o644); err != nil {
		t.Fatal(err)
	}
	diff, err := s.Verify(t.Context(), r)
	if err != nil || diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
	if _, ok, err := s.Repair(t.Context(), r, must(r.Artifact()), diff); ok || err != nil {
		t.Errorf("an image was to be repaired in parts: %v", err)
	}
	if removed, err := s.Prune(t.Context(), 1); err != nil || len(removed) != 1 || len(k.mounted) != 0 {
		t.Errorf("removed %v, %v, mounted %v", removed, err, k.mounted)
	}
	k.wantDone("unmount")
}

// A sample is mounted once, and nothing of it is left.
func TestTryMount(t *testing.T) {
	s := open(t)
	k := newKernel(t, s)
	a := imageOf(t, "1").Artifact
	try := func(want error) {
		t.Helper()
		if err := s.TryMount(t.Context(), a); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%v, want %v", err, want)
		}
		if names := must(s.names(stagingDir)); len(names) != 0 || len(k.mounted) != 0 {
			t.Errorf("left: %q, mounted %v", names, k.mounted)
		}
	}
	try(nil)
	k.wantDone("mount erofs, unmount")
	try(nil)
	k.wantDone("")
	a.Format = artifacts.Squashfs // another one is tried by itself
	k.fails = errors.New("unknown compression")
	try(k.fails)
	k.wantDone("mount squashfs")
	try(k.fails)
	k.wantDone("")
	a.Format = artifacts.ErofsZstd
	k.looks = func(string) string { return "" }
	k.fails = nil
	if err := s.TryMount(t.Context(), a); !errors.Is(err, ErrMount) {
		t.Errorf("%v", err)
	}
	a.Format, k.cannot = artifacts.ErofsLZ4, errors.New("no module")
	k.looks = func(image string) string { return image }
	k.did = nil
	try(k.cannot)
	k.wantDone("")
	a.Format = "later"
	try(artifacts.ErrTooOld)
	k.cannot = nil
	if err := s.TryMount(t.Context(), artifacts.Artifact{Format: artifacts.File}); err != nil {
		t.Errorf("a tree: %v", err)
	}
	k.wantDone("")
}

// What runs shows that its format is mounted. Where a sample cannot be written nothing
// is known; where it cannot be removed a later run does so.
func TestTryMountDoesWithoutASample(t *testing.T) {
	s := open(t)
	k := newKernel(t, s)
	r := must(s.Stage(t.Context(), imageOf(t, "1")))
	if err := errors.Join(s.Mount(t.Context(), r), s.Activate(r)); err != nil {
		t.Fatal(err)
	}
	k.wantDone("mount erofs")
	a := must(r.Artifact())
	try := func(why, did string) {
		t.Helper()
		if err := s.TryMount(t.Context(), a); err != nil {
			t.Errorf("%s: %v", why, err)
		}
		k.wantDone(did)
	}
	try("it runs", "")
	a.Format = artifacts.ErofsZstd
	s.before = func(step string) error {
		if step == "sample" {
			return unix.ENOSPC
		}
		return nil
	}
	try("a full disk", "")
	s.before = nil
	k.busy = unix.EBUSY
	try("it is busy", "mount erofs, unmount")
	if len(k.mounted) != 2 {
		t.Errorf("mounted: %v", k.mounted)
	}
	k.busy = nil
	if _, err := s.Prune(t.Context(), 1); err != nil || len(k.mounted) != 1 {
		t.Errorf("%v, mounted %v", err, k.mounted)
	}
	k.did = nil
	clear(k.mounted)
	a.Format = artifacts.Erofs
	try("it runs, and is not mounted", "mount erofs, unmount")
}

// A system that does not answer is waited for a few seconds, and a run that ends
// meanwhile is no answer.
func TestTryMountHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		k := newKernel(t, s)
		k.hangs = true
		a := imageOf(t, "1").Artifact
		began := time.Now()
		ended := errors.New("ended")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(ended)
		if err := s.TryMount(ctx, a); !errors.Is(err, ended) {
			t.Errorf("%v", err)
		}
		for range 2 {
			if err := s.TryMount(t.Context(), a); !errors.Is(err, errSlow) || !errors.Is(err, ErrMount) || time.Since(began) != tryTime {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
	})
}

// A tree needs no mount, and no one who mounts.
func TestMountTree(t *testing.T) {
	s := open(t)
	r := stage(t, s, "1")
	if err := s.Mount(t.Context(), r); err != nil {
		t.Error(err)
	}
	a := must(r.Artifact())
	if err := s.CanMount(t.Context(), a); err != nil {
		t.Error(err)
	}
}

func TestMountFails(t *testing.T) {
	s := open(t)
	in := imageOf(t, "1")
	if err := s.CanMount(t.Context(), in.Artifact); err == nil {
		t.Error("a store that mounts nothing can mount")
	}
	r := must(s.Stage(t.Context(), in))
	wantMountError := func(why string, is error) {
		t.Helper()
		if err := s.Mount(t.Context(), r); !errors.Is(err, ErrMount) || errors.Is(err, ErrDisk) || is != nil && !errors.Is(err, is) {
			t.Errorf("%s: %v", why, err)
		}
	}
	wantMountError("no one mounts", nil)
	k := newKernel(t, s)
	k.cannot = errors.New("no module")
	if err := s.CanMount(t.Context(), in.Artifact); !errors.Is(err, k.cannot) {
		t.Errorf("%v", err)
	}
	k.fails = errors.New("no loop device")
	wantMountError("no loop device", k.fails)
	k.fails = nil
	k.looks = func(string) string { return "" }
	wantMountError("another image", nil)
	k.did = nil
	wantMountError("another image is there", nil) // which is tried once more
	k.wantDone("unmount, mount erofs")
	k.busy = errors.New("busy")
	wantMountError("it cannot be unmounted", k.busy)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("ended")
	cancel(ended)
	k.busy, k.fails = nil, errors.New("interrupted")
	if err := s.Mount(ctx, r); !errors.Is(err, ended) || errors.Is(err, ErrMount) {
		t.Errorf("%v", err)
	}
	k.lookErr = fs.ErrPermission
	wantMountError("it cannot be seen", fs.ErrPermission)
	if removed, err := s.Prune(t.Context(), 0); !errors.Is(err, ErrDisk) || len(removed) != 0 {
		t.Errorf("removed %v, %v", removed, err)
	}
}

// An image that is made again takes the place of the one that is mounted.
func TestStageOverMounted(t *testing.T) {
	s := open(t)
	k := newKernel(t, s)
	r := must(s.Stage(t.Context(), imageOf(t, "1")))
	if err := s.Mount(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	in := imageOf(t, "1")
	in.Manifest = r.Manifest()
	r = must(s.Stage(t.Context(), in))
	k.wantDone("mount erofs, unmount, mount erofs") // the app may still run
	if err := s.Mount(t.Context(), r); err != nil || len(k.mounted) != 1 {
		t.Errorf("%v, %v", err, k.mounted)
	}
	k.wantDone("")
	s.before = func(step string) error {
		if step == "exchange" {
			return fs.ErrInvalid
		}
		return nil
	}
	in.Content = imageOf(t, "1").Content
	if _, err := s.Stage(t.Context(), in); !errors.Is(err, fs.ErrInvalid) || k.mounted[r.Dir()] == "" {
		t.Errorf("%v, mounted %v", err, k.mounted)
	}
	k.wantDone("unmount, mount erofs")
	s.before, k.fails = nil, errors.New("no loop device")
	in.Content = imageOf(t, "1").Content
	if r, err := s.Stage(t.Context(), in); err != nil || !errors.Is(s.Mount(t.Context(), r), ErrMount) {
		t.Errorf("%v, mounted %v", err, k.mounted)
	}
	k.fails = nil
	if err := s.Mount(t.Context(), r); err != nil {
		t.Error(err)
	}
	k.busy = fs.ErrPermission
	in.Content = imageOf(t, "1").Content
	if _, err := s.Stage(t.Context(), in); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}

// What is wrong with an image that runs is seen without reading all of it.
func TestLook(t *testing.T) {
	s := open(t)
	if err := s.Look(stage(t, s, "tree")); err != nil {
		t.Errorf("a tree: %v", err)
	}
	k := newKernel(t, s)
	r := must(s.Stage(t.Context(), imageOf(t, "1")))
	want := func(why string, is error, says string) {
		t.Helper()
		if err := s.Look(r); !errors.Is(err, is) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %v", why, err, is)
		}
	}
	want("before it is mounted", ErrMount, "is not mounted")
	if err := s.Mount(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want("mounted", nil, "")
	k.looks = func(image string) string { return image + " (deleted)" }
	want("another one is", ErrMount, "is not its image")
	k.looks, k.lookErr = func(image string) string { return image }, fs.ErrPermission
	want("it cannot be seen", fs.ErrPermission, "look at the mount")
	k.lookErr = nil
	size := must(os.Stat(meta(r, "image"))).Size()
	for _, other := range []int64{size + 1, size - 1, 0} {
		if err := os.Truncate(meta(r, "image"), other); err != nil {
			t.Fatal(err)
		}
		want("another size", artifacts.ErrIntegrity, "bytes, want")
	}
	if err := errors.Join(os.Remove(meta(r, "image")), os.Mkdir(meta(r, "image"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := s.lookAt(r.id, must(os.Stat(meta(r, "image"))).Size()); !errors.Is(err, ErrDisk) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	if err := os.Remove(meta(r, "image")); err != nil {
		t.Fatal(err)
	}
	want("it is gone", ErrDisk, "no such file")
}
