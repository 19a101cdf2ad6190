package agent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/image"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

// mounts mounts nothing, and says that it did.
type mounts struct {
	mounted map[string]string // directory: image
	cannot  error
	fails   error
	count   int

	samples  int   // that were mounted, or not
	rejected error // of samples

	before   func(image string)                         // called before each mount of a release
	seen     func(image string) string                  // what is mounted then; nil = the image
	onSample func(ctx context.Context, do string) error // "mount" or "unmount"; nil = does nothing
}

func (m *mounts) Can(context.Context, string) error { return m.cannot }

func (m *mounts) Mount(ctx context.Context, _, image, dir string) error {
	if isSample(dir) {
		m.samples++
		if err := m.sample(ctx, "mount"); err != nil {
			return err
		}
		if m.rejected == nil {
			m.mounted[dir] = image
		}
		return m.rejected
	}
	if m.before != nil {
		m.before(image)
	}
	if m.fails == nil {
		m.mounted[dir] = image
		m.count++
	}
	return m.fails
}

func isSample(dir string) bool { return strings.Contains(dir, "/.staging/") }

func (m *mounts) sample(ctx context.Context, do string) error {
	if m.onSample == nil {
		return nil
	}
	return m.onSample(ctx, do)
}

func (m *mounts) Unmount(ctx context.Context, dir string) error {
	if isSample(dir) {
		if err := m.sample(ctx, "unmount"); err != nil {
			return err
		}
	}
	delete(m.mounted, dir)
	return nil
}

func (m *mounts) Mounted(dir string) (string, bool, error) {
	image, mounted := m.mounted[dir]
	if m.seen != nil && mounted && !isSample(dir) {
		image = m.seen(image)
	}
	return image, mounted, nil
}

func (w *world) mounting(func(string, ...any)) store.Mounts {
	if w.mounts == nil {
		return nil
	}
	return w.mounts
}

// withImages is a machine that mounts images, and a channel whose release has one.
func withImages(t *testing.T) *world {
	w := newWorld(t)
	w.images, w.mounts = config.ImagesAuto, &mounts{mounted: map[string]string{}}
	w.publishImage("2")
	w.promote("2", time.Time{})
	return w
}

// publishImage publishes a version with a tree and an image.
func (w *world) publishImage(version string) {
	w.t.Helper()
	w.publish(version)
	key := w.artifact(version)
	data := w.contents[key]
	made, err := image.NewWriter([]tree.Entry{{Path: "web", Type: tree.TypeFile, Mode: 0o755, Size: int64(len(data))}}, time.Unix(1, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := made.Write(&out, func(int) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }); err != nil {
		w.t.Fatal(err)
	}
	plain, sum := artifacts.Sum(data), artifacts.Sum(out.Bytes())
	platform := artifacts.Artifact{OS: runtime.GOOS, Arch: runtime.GOARCH, UnpackedBytes: int64(len(data)), Entries: 1}
	unpacked, mounted := platform, platform
	unpacked.Format, unpacked.Key, unpacked.Size, unpacked.SHA256 = artifacts.File, key, int64(len(data)), plain
	mounted.Format, mounted.Size, mounted.SHA256 = artifacts.Erofs, int64(out.Len()), sum
	mounted.Key = artifacts.ArtifactKey("web", version, runtime.GOOS, runtime.GOARCH, sum, artifacts.Erofs)
	mounted.Chunks = []artifacts.Chunk{{Size: mounted.Size, SHA256: sum}}
	mounted.Image = &artifacts.Image{Size: mounted.Size, Pieces: artifacts.SumOf([]artifacts.Digest{sum})}
	w.contents[mounted.Key] = out.Bytes()
	w.manifests[version] = w.must(artifacts.Manifest{Schema: 1, App: "web", Version: version, Created: w.now, MinAgent: "0.1.0", Hooks: w.hooks,
		Artifacts: []artifacts.Artifact{unpacked, mounted}}.Sign(w.key))
}

// fetched is which kinds of artifacts were asked for since the last call.
func (w *world) fetched() string {
	var kinds []string
	for _, key := range w.asked {
		kind := "tree"
		if strings.HasSuffix(key, ".erofs") {
			kind = "image"
		}
		kinds = append(kinds, kind)
	}
	w.asked = nil
	return strings.Join(kinds, ", ")
}

func (w *world) wantRun(t *testing.T, err error, rep report.Report, version, fetched, warning string) {
	t.Helper()
	if got := w.fetched(); err != nil || w.running != version || got != fetched {
		t.Errorf("%v, %s runs, want %s; fetched %q, want %q", err, w.running, version, got, fetched)
	}
	if said := strings.Join(rep.Warnings, "\n"); (said == "") != (warning == "") || !strings.Contains(said, warning) {
		t.Errorf("warnings %q, want %q", said, warning)
	}
}

// An image is fetched, mounted, and mounted again after a reboot, without a source.
func TestImage(t *testing.T) {
	w := withImages(t)
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image", "")
	if w.mounts.count != 1 || w.mounts.samples != 1 {
		t.Errorf("%d mounts, %d samples", w.mounts.count, w.mounts.samples)
	}
	rep, err = w.sync()
	w.wantRun(t, err, rep, "2", "", "")

	w.firmwareID, w.running = w.id, ""
	clear(w.mounts.mounted)
	silent(w)
	_, err = w.boot()
	if err != nil || w.running != "2" || w.mounts.count != 2 || w.fetched() != "" {
		t.Errorf("%v, %s runs, %d mounts", err, w.running, w.mounts.count)
	}
	w.images = config.ImagesNever // what is installed stays
	clear(w.mounts.mounted)
	w.running = ""
	if _, err = w.boot(); err != nil || w.running != "2" || w.mounts.count != 3 {
		t.Errorf("%v, %s runs, %d mounts", err, w.running, w.mounts.count)
	}
}

// Where there is a reason against an image the tree is taken, in the same run.
func TestTreeInPlaceOfAnImage(t *testing.T) {
	for name, test := range map[string]struct {
		given            func(w *world)
		fetched, warning string
	}{
		"never":                   {func(w *world) { w.images = "" }, "tree", ""},
		"no module":               {func(w *world) { w.mounts.cannot = errors.New("no module") }, "tree", "the erofs of 2 is not taken: no module"},
		"the mount fails":         {func(w *world) { w.mounts.fails = errors.New("no loop device") }, "image, tree", "no loop device; another artifact is fetched"},
		"a sample is not mounted": {func(w *world) { w.mounts.rejected = errors.New("unknown compression") }, "tree", "the erofs of 2 is not taken: a sample of it could not be mounted: unknown compression"},
		"no one mounts it":        {func(w *world) { w.mounts = nil }, "tree", "not mounted here"},
	} {
		w := withImages(t)
		test.given(w)
		rep, err := w.boot()
		t.Log(name)
		w.wantRun(t, err, rep, "2", test.fetched, test.warning)
		rep, err = w.sync() // it is not tried again
		w.wantRun(t, err, rep, "2", "", "")
	}
}

// A machine that does not mount its image any more gets the tree, or what ran before.
func TestImageThatIsNotMountedAnyMore(t *testing.T) {
	w := newWorld(t)
	w.images, w.mounts = config.ImagesAuto, &mounts{mounted: map[string]string{}}
	_, err := w.boot()
	if err != nil {
		t.Fatal(err)
	}
	w.publishImage("2")
	w.promote("2", time.Time{})
	if _, err = w.sync(); err != nil || w.fetched() != "tree, image" {
		t.Fatal(err, w.asked)
	}
	reboot := func() {
		w.firmwareID, w.running, w.mounts.fails = w.id, "", errors.New("no module")
		clear(w.mounts.mounted)
	}
	reboot()
	silent(w)
	_, err = w.boot()
	if w.running != "1" {
		t.Errorf("%v, %s runs, want the last known good one", err, w.running)
	}
	w.pointerErr, w.contentErr = nil, nil
	if _, err = w.sync(); err != nil || w.running != "2" || w.fetched() != "tree" {
		t.Errorf("%v, %s runs", err, w.running)
	}
}

// An image that was altered is not mounted: it is fetched again, or does not run.
func TestAnAlteredImage(t *testing.T) {
	w := withImages(t)
	w.verify = config.VerifyStart
	if _, err := w.boot(); err != nil || w.fetched() != "image" {
		t.Fatal(err)
	}
	alter := func() {
		w.firmwareID, w.running = w.id, ""
		clear(w.mounts.mounted)
		found, err := filepath.Glob(filepath.Join(w.dir, "opt/releases/2-*/meta/image"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		if err := os.Truncate(found[0], 5000); err != nil {
			t.Fatal(err)
		}
	}
	alter()
	rep, err := w.boot()
	if got := w.fetched(); err != nil || w.running != "2" || got != "image" || len(w.mounts.mounted) != 1 || !slices.ContainsFunc(rep.Warnings, func(s string) bool { return strings.Contains(s, "was changed on this machine") }) {
		t.Errorf("%v, %s runs, fetched %s, warnings %q", err, w.running, got, rep.Warnings)
	}
	alter()
	silent(w)
	if _, err := w.boot(); !errors.Is(err, fetch.ErrTransport) || w.running != "" || len(w.mounts.mounted) != 0 {
		t.Errorf("%v, %s runs", err, w.running)
	}
}

// seals says that images are protected, and counts.
type seals struct {
	digest string
	cannot error
	count  int
}

func (s *seals) Seal(*os.File) error             { s.count++; return s.cannot }
func (s *seals) Sealed(*os.File) (string, error) { return s.digest, s.cannot }

// What the kernel protects is not read before it is started. What it does not protect
// is, and that is a warning; so is another file.
func TestASealedImage(t *testing.T) {
	for name, test := range map[string]struct {
		given            func(s *seals)
		fetched, warning string
	}{
		"sealed":          {func(*seals) {}, "", ""},
		"another digest":  {func(s *seals) { s.digest = "other" }, "image", "is not protected by fs-verity: it is another file"},
		"no seal anymore": {func(s *seals) { s.cannot = errors.New("no data available") }, "image", "is not protected by fs-verity: no data available"},
	} {
		w := withImages(t)
		k := &seals{digest: "ab"}
		w.verify, w.fsverity, w.seals = config.VerifyStart, true, k
		rep, err := w.boot()
		w.wantRun(t, err, rep, "2", "image", "")
		w.firmwareID, w.running = w.id, ""
		clear(w.mounts.mounted)
		found, err := filepath.Glob(filepath.Join(w.dir, "opt/releases/2-*/meta/image"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		if err := os.Truncate(found[0], 5000); err != nil { // a kernel would not let that happen
			t.Fatal(err)
		}
		test.given(k)
		rep, err = w.boot()
		t.Log(name)
		w.wantRun(t, err, rep, "2", test.fetched, test.warning)
	}
	w := withImages(t)
	k := &seals{cannot: errors.New("operation not supported")}
	w.fsverity, w.seals = true, k
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image", "is not protected by fs-verity: operation not supported")
	if k.count != 1 {
		t.Errorf("sealed %d times", k.count)
	}
}

// reimage changes the image of version 2, and signs the release again.
func (w *world) reimage(change func(a *artifacts.Artifact, data []byte)) {
	w.t.Helper()
	m, err := w.trust().Manifest(w.manifests["2"], artifacts.Reference{App: "web", Version: "2"})
	if err != nil {
		w.t.Fatal(err)
	}
	release := m.Manifest()
	a := &release.Artifacts[1]
	data := bytes.Clone(w.contents[a.Key])
	change(a, data)
	sum := artifacts.Sum(data)
	a.SHA256, a.Chunks[0].SHA256, a.Image.Pieces = sum, sum, artifacts.SumOf([]artifacts.Digest{sum})
	a.Key = artifacts.ArtifactKey("web", "2", a.OS, a.Arch, sum, "erofs")
	w.contents[a.Key] = data
	w.manifests["2"] = w.must(release.Sign(w.key))
	w.promote("2", time.Time{})
}

// An agent that does not know the format of an image takes the tree. An image that a
// key has signed and that is not allowed is refused before the kernel sees it, and so
// is the release.
func TestImageOfAnotherKind(t *testing.T) {
	w := withImages(t)
	w.reimage(func(a *artifacts.Artifact, _ []byte) { a.Format = "erofs-later" })
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "tree", `the erofs-later of 2 is not taken: `)
	for name, spoil := range map[string]func([]byte){
		"a superblock that lies": func(b []byte) { b[1024+36]++ },
		"a feature":              func(b []byte) { b[1024+80] = 8 },
		"another compression":    func(b []byte) { b[1024+80], b[1024+84] = 2, 8 },
		"a device":               func(b []byte) { b[4096+64*2+4+1] = 0o060000 >> 8 },
	} {
		w := withImages(t)
		w.reimage(func(_ *artifacts.Artifact, b []byte) { spoil(b) })
		if _, err := w.boot(); !errors.Is(err, tree.ErrRefused) || w.running != "" || w.mounts.count != 0 {
			t.Errorf("%s: %v, %s runs, %d mounts", name, err, w.running, w.mounts.count)
		}
	}
}

// An image that is gone from the disk is fetched again, and never taken for one that
// is whole.
func TestAnImageThatIsGone(t *testing.T) {
	w := withImages(t)
	w.verify = config.VerifyStart
	if _, err := w.boot(); err != nil || w.fetched() != "image" {
		t.Fatal(err)
	}
	w.firmwareID, w.running = w.id, ""
	clear(w.mounts.mounted)
	found, err := filepath.Glob(filepath.Join(w.dir, "opt/releases/2-*/meta/image"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image", "was changed on this machine")
}

// A release that has nothing but an image fails where that is not mounted.
func TestOnlyAnImage(t *testing.T) {
	w := withImages(t)
	m, err := w.trust().Manifest(w.manifests["2"], artifacts.Reference{App: "web", Version: "2"})
	if err != nil {
		t.Fatal(err)
	}
	only := m.Manifest()
	only.Artifacts = only.Artifacts[1:]
	w.manifests["2"] = w.must(only.Sign(w.key))
	w.promote("2", time.Time{})
	w.mounts.fails = errors.New("no loop device")
	rep, err := w.boot()
	if !errors.Is(err, artifacts.ErrNoPlatform) || !strings.Contains(strings.Join(rep.Warnings, "\n"), "no loop device") {
		t.Errorf("%v, warnings %q", err, rep.Warnings)
	}
	w.mounts.fails = nil
	w.signals = nil
	if _, err := w.boot(); err != nil || w.running != "2" {
		t.Errorf("%v, %s runs", err, w.running)
	}
	w.mounts.fails = errors.New("no loop device")
	clear(w.mounts.mounted)
	w.firmwareID, w.running = w.id, ""
	if _, err := w.boot(); !errors.Is(err, service.ErrActivate) || w.running != "" {
		t.Errorf("%v, %s runs", err, w.running)
	}
}
