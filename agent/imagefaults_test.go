package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
	"koboshi/systemd"
)

// wantTidy asserts that nothing is mounted but the images of these versions, and that
// nothing is left of what was begun.
func (w *world) wantTidy(t *testing.T, versions ...string) {
	t.Helper()
	var mounted []string
	for dir := range w.mounts.mounted {
		mounted = append(mounted, filepath.Base(filepath.Dir(dir))[:1])
	}
	slices.Sort(mounted)
	if !slices.Equal(mounted, versions) {
		t.Errorf("mounted are %q, want %q", mounted, versions)
	}
	left, err := os.ReadDir(filepath.Join(w.dir, "opt/.staging"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// hang does what it is called for only once it is waited for no longer.
func hang(what string) func(context.Context, string) error {
	return func(ctx context.Context, do string) error {
		if do != what {
			return nil
		}
		<-ctx.Done()
		return errors.New("no answer")
	}
}

// A systemd that hangs while it mounts a sample costs some seconds and the image. One
// that hangs while it unmounts it costs some seconds alone, and the next run unmounts it.
func TestASampleHangs(t *testing.T) {
	for what, test := range map[string]struct{ fetched, warning string }{
		"mount":   {"tree", "a sample was not mounted within 10s"},
		"unmount": {"image", "old releases could not be removed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := withImages(t)
			w.mounts.onSample = hang(what)
			began := time.Now()
			rep, err := w.boot()
			took := time.Since(began)
			w.wantRun(t, err, rep, "2", test.fetched, test.warning)
			if took < 10*time.Second || took > 40*time.Second {
				t.Errorf("%s: took %v", what, took)
			}
			w.mounts.onSample = nil
			w.publishImage("3")
			w.promote("3", time.Time{})
			rep, err = w.sync()
			w.wantRun(t, err, rep, "3", "image", "")
			for dir := range w.mounts.mounted {
				if isSample(dir) {
					t.Errorf("%s: %s is still mounted", what, dir)
				}
			}
		})
	}
}

// What replaces an image after it was verified and before it is mounted does not run. The
// same boot takes the tree, and what was mounted by then is unmounted.
func TestAnImageThatIsReplacedBeforeItsMount(t *testing.T) {
	w := withImages(t)
	w.mounts.seen = func(string) string { return "" }
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image, tree", "it was mounted, and is not what is there; another artifact is fetched")
	w.wantTidy(t)
}

// One that is altered then is mounted, as one is that is altered later: the next start finds it.
func TestAnImageThatIsAlteredBeforeItsMount(t *testing.T) {
	w := withImages(t)
	w.verify = config.VerifyStart
	w.mounts.before = func(image string) {
		if err := os.Truncate(image, 5000); err != nil {
			t.Error(err)
		}
	}
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image", "")
	w.firmwareID, w.running, w.mounts.before = w.id, "", nil
	clear(w.mounts.mounted)
	rep, err = w.boot()
	w.wantRun(t, err, rep, "2", "image", "was changed on this machine")
	if _, repaired := stepNamed(rep, "repair"); repaired {
		t.Error("an image was repaired in parts")
	}
	w.wantTidy(t, "2")
}

// A disk that has no room for an image is no reason to fetch the tree, which takes more.
func TestDiskFullWhileAnImageIsFetched(t *testing.T) {
	for name, live := range map[string]bool{"at a launch": false, "live": true} {
		w := withImages(t)
		want := result{report.Failed, store.ErrDisk, "", "", giveUp}
		if live {
			if _, err := w.boot(); err != nil {
				t.Fatal(err)
			}
			w.publishImage("3")
			w.promote("3", time.Time{})
			w.signals = nil
			want = result{report.Failed, store.ErrDisk, "2", "2", nil}
		}
		w.asked, w.contentErr = nil, full
		run := w.boot
		if live {
			run = w.sync
		}
		rep, err := run()
		t.Log(name)
		w.check(t, rep, err, want)
		if got := w.fetched(); got != "image" {
			t.Errorf("%s: fetched %q", name, got)
		}
		w.wantTidy(t, strings.Fields(want.current)...)
		w.contentErr = nil
		if _, err := run(); err != nil || len(w.mounts.mounted) == 0 {
			t.Errorf("%s: with room again: %v", name, err)
		}
	}
}

// Of two images of one format the first is taken, and the second where that one is not
// mounted.
func TestTwoImagesOfOneFormat(t *testing.T) {
	w := withImages(t)
	m, err := w.trust().Manifest(w.manifests["2"], artifacts.Reference{App: "web", Version: "2"})
	if err != nil {
		t.Fatal(err)
	}
	both := m.Manifest()
	second := both.Artifacts[1]
	data := append(slices.Clone(w.contents[second.Key]), make([]byte, 100)...) // a tail is left over
	sum := artifacts.Sum(data)
	second.Size, second.SHA256, second.Chunks = int64(len(data)), sum, []artifacts.Chunk{{Size: int64(len(data)), SHA256: sum}}
	second.Image = &artifacts.Image{Size: second.Size, Pieces: artifacts.SumOf([]artifacts.Digest{sum})}
	second.Key = artifacts.ArtifactKey("web", "2", second.OS, second.Arch, sum, artifacts.Erofs)
	w.contents[second.Key] = data
	both.Artifacts = append(both.Artifacts, second)
	w.manifests["2"] = w.must(both.Sign(w.key))
	w.promote("2", time.Time{})
	w.mounts.before = func(string) { // each is another mount
		if w.mounts.fails = nil; w.asked[len(w.asked)-1] != second.Key {
			w.mounts.fails = errors.New("bad image")
		}
	}
	rep, err := w.boot()
	w.wantRun(t, err, rep, "2", "image, image", "bad image; another artifact is fetched")
	w.wantTidy(t, "2")
	w.firmwareID, w.running = w.id, ""
	clear(w.mounts.mounted)
	w.mounts.before = nil
	rep, err = w.boot()
	w.wantRun(t, err, rep, "2", "", "")
}

// A delta is from a tree: where an image of its base is installed, it is not what the
// delta was made of, unless it has the same files.
func TestDeltaFromAnImage(t *testing.T) {
	w := withImages(t)
	if _, err := w.boot(); err != nil || w.fetched() != "image" {
		t.Fatal(err)
	}
	key, deltas := w.releaseFrom("3", "2")
	rep, err := w.sync()
	if err != nil || w.running != "3" || !slices.Equal(w.asked, []string{deltas[0], key}) {
		t.Errorf("%v, %s runs, asked for %q", err, w.running, w.asked)
	}
	if said := strings.Join(rep.Warnings, "\n"); !strings.Contains(said, "no delta update from 2") {
		t.Errorf("warnings %q", said)
	}
	w.wantTidy(t, "2")
}

// A bus that is gone while systemd mounts has the tree taken, whether it was mounted or not.
func TestBusGoneWhileMounting(t *testing.T) {
	for _, mounted := range []bool{false, true} {
		w := withImages(t)
		gone := fmt.Errorf("start of the mount: %w", systemd.ErrDisconnected)
		w.mounts.before = func(image string) {
			if mounted {
				w.mounts.mounted[filepath.Join(filepath.Dir(filepath.Dir(image)), "tree")] = image
			}
			w.mounts.fails = gone
		}
		rep, err := w.boot()
		w.wantRun(t, err, rep, "2", "image, tree", "another artifact is fetched")
		w.wantTidy(t)
		w.mounts.before, w.mounts.fails = nil, nil
		rep, err = w.sync()
		w.wantRun(t, err, rep, "2", "", "")
		w.wantTidy(t)
	}
}
