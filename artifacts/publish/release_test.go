package publish

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

func TestRelease(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "server")
	must(t, os.WriteFile(path, noise(1000), 0o755))
	single, err := Pack(t.Context(), "linux/arm64", path, Options{})
	must(t, err)
	defer func() { must(t, single.Close()) }()
	d := w.draft("1.4.2", w.tree("linux/amd64", "hello"), single)
	d.Created = noon.In(time.FixedZone("elsewhere", 3600)).Add(5 * time.Millisecond)
	d.MinAgent, d.Health = "999.0.0", artifacts.Health{TCP: "127.0.0.1:80"}
	released, err := Release(t.Context(), w.bucket, d)
	must(t, err)
	d.Packed = d.Packed[:1]
	_, err = Release(t.Context(), w.bucket, d)
	wantIs(t, err, ErrConflict) // a platform is missing now
	envelope := w.bucket.Bytes(artifacts.ManifestKey("1.4.2"))
	if released.SHA256 != artifacts.Sum(envelope) || released.Already {
		t.Errorf("released %+v, want the hash of what is stored", released)
	}
	verified, err := w.trust().Manifest(envelope, artifacts.Reference{App: "web", Version: "1.4.2", ManifestSHA256: released.SHA256})
	must(t, err)
	m := verified.Manifest()
	if !m.Created.Equal(noon) || m.MinAgent != "999.0.0" || m.Health.TCP != d.Health.TCP || len(m.Artifacts) != 2 {
		t.Errorf("stored %+v", m)
	}
	if a := m.Artifacts[0]; a.Key != "releases/1.4.2/web-linux-amd64-"+a.SHA256.Short()+".tar.zst" || a.Index == nil {
		t.Errorf("artifact %+v", a)
	}
	if a := m.Artifacts[1]; a.Key != "releases/1.4.2/web-linux-arm64-"+a.SHA256.Short() || a.Index != nil || a.Format != artifacts.File {
		t.Errorf("artifact %+v", a)
	}
	w.complete(m)
}

func TestReleaseAgain(t *testing.T) {
	w := newWorld(t)
	first := w.release("1.0")
	before := w.bucket.Bytes(artifacts.ManifestKey("1.0"))
	puts := w.bucket.Calls(buckettest.Put, "")
	d := w.draft("1.0", w.executable("1.0"))
	d.Created = noon.Add(time.Hour)
	again, err := Release(t.Context(), w.bucket, d)
	if err != nil || !again.Already || again.SHA256 != first.SHA256 || !again.Manifest.Created.Equal(noon) {
		t.Errorf("the same bytes again: %+v and %v, want the release that is there", again, err)
	}
	if string(w.bucket.Bytes(artifacts.ManifestKey("1.0"))) != string(before) || w.bucket.Calls(buckettest.Put, "") != puts {
		t.Error("publishing the same bytes again has written something")
	}
}

func TestConflict(t *testing.T) {
	w := newWorld(t)
	first := w.release("1.0")
	before := w.bucket.Bytes(artifacts.ManifestKey("1.0"))
	puts := w.bucket.Calls(buckettest.Put, "")
	same, other := w.executable("1.0"), w.executable("other")
	healthy := w.draft("1.0", same)
	healthy.Health.TCP = "127.0.0.1:1"
	hooked := w.draft("1.0", same)
	hooked.Hooks.PreStart = []string{"web", "--migrate"}
	newer := w.draft("1.0", same)
	newer.MinAgent = "0.2.0"
	for what, d := range map[string]Draft{
		settings + " at last": newer,
		"linux/amd64":         w.draft("1.0", other),
		"linux/arm64":         w.draft("1.0", same, w.tree("linux/arm64", "1.0")),
		settings:              healthy,
		settings + " again":   hooked,
	} {
		_, err := Release(t.Context(), w.bucket, d)
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok || !errors.Is(err, ErrConflict) || !strings.HasPrefix(what, conflict.What) {
			t.Errorf("%s: got %v, want a conflict about it", what, err)
			continue
		}
		if conflict.What == "linux/amd64" && (conflict.Published != first.Manifest.Artifacts[0].SHA256.String() || conflict.Mine != other.Artifact().SHA256.String() ||
			!strings.Contains(err.Error(), conflict.Published) || !strings.Contains(err.Error(), conflict.Mine)) {
			t.Errorf("%v does not name both digests", err)
		}
	}
	if string(w.bucket.Bytes(artifacts.ManifestKey("1.0"))) != string(before) || w.bucket.Calls(buckettest.Put, "") != puts {
		t.Error("a conflict has written something")
	}
}

// A publisher that dies at any write can be started again, and an instance never
// sees a release that is not complete.
func TestReleaseDiesAtEveryWrite(t *testing.T) {
	died := errors.New("died")
	for _, applied := range []bool{false, true} {
		writes := 0
		for ; ; writes++ {
			w := newWorld(t)
			d := w.draft("1.0", w.tree("linux/amd64", "a"), w.tree("linux/arm64", "b"))
			w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Skip: writes, Err: died, Applied: applied})
			_, err := Release(t.Context(), w.bucket, d)
			if err == nil {
				break
			}
			wantIs(t, err, died)
			if m, err := readManifest(t.Context(), w.bucket, w.trust(), "web", "1.0"); err == nil {
				w.complete(m.Manifest())
			}
			w.bucket.Heal()
			released, err := Release(t.Context(), w.bucket, d)
			must(t, err)
			w.complete(released.Manifest)
		}
		if writes != 5 {
			t.Errorf("died at %d writes, want 2 artifacts, 2 indexes and the manifest", writes)
		}
	}
}

// An object that exists already is used only once it was read back and hashed.
func TestReleaseProvesWhatIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(data []byte) []byte
		want  error
	}{
		"the same bytes": {func(data []byte) []byte { return data }, nil},
		"other bytes":    {flip, artifacts.ErrIntegrity},
		"a torn upload":  {func(data []byte) []byte { return data[:len(data)-1] }, artifacts.ErrIntegrity},
		"nothing":        {func([]byte) []byte { return nil }, artifacts.ErrIntegrity},
		"too much":       {func(data []byte) []byte { return append(data, 'x') }, artifacts.ErrIntegrity},
	} {
		w := newWorld(t)
		d := w.draft("1.0", w.tree("linux/amd64", "a"))
		a := manifestOf(d).Artifacts[0]
		data := make([]byte, a.Size)
		_, err := d.Packed[0].ReadAt(data, 0)
		must(t, err)
		for _, key := range []string{a.Key, a.Index.Key} {
			if data = c.plant(data); key == a.Index.Key {
				data = c.plant(d.Packed[0].Index())
			}
			w.bucket.Replace(key, data)
			if _, err := Release(t.Context(), w.bucket, d); !errors.Is(err, c.want) {
				t.Errorf("%s at %s: got %v, want %v", name, key, err, c.want)
			}
			if w.bucket.Bytes(artifacts.ManifestKey("1.0")) != nil && c.want != nil {
				t.Errorf("%s at %s: a manifest was written", name, key)
			}
			w.bucket.Drop(key)
		}
	}
}

// Reading back goes on after a body that broke off, and never mixes two objects.
func TestProveResumes(t *testing.T) {
	w := newWorld(t)
	released, err := Release(t.Context(), w.bucket, w.draft("1.0", w.tree("linux/amd64", "a")))
	must(t, err)
	a := released.Manifest.Artifacts[0]
	blob := artifacts.Blob{Key: a.Key, Size: a.Size, SHA256: a.SHA256}
	w.bucket.Truncate(a.Key, a.Size/2)
	gets := w.bucket.Calls(buckettest.Get, a.Key)
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Get, Key: a.Key, Skip: 2, Times: 1, Before: w.bucket.Heal})
	must(t, verify(t.Context(), w.bucket, blob))
	if n := w.bucket.Calls(buckettest.Get, a.Key) - gets; n != 3 {
		t.Errorf("read in %d requests, want 3", n)
	}
	w.bucket.Truncate(a.Key, a.Size/2)
	gets = w.bucket.Calls(buckettest.Get, a.Key)
	if err := verify(t.Context(), w.bucket, blob); err == nil {
		t.Error("an object that always breaks off was proven")
	}
	if n := w.bucket.Calls(buckettest.Get, a.Key) - gets; n != 1+rereads {
		t.Errorf("gave up after %d requests, want %d", n, 1+rereads)
	}
	w.bucket.ReplaceAt(a.Key, a.Size/4, flip(w.bucket.Bytes(a.Key)))
	wantIs(t, verify(t.Context(), w.bucket, blob), bucket.ErrChanged)
}

// Two publishers of one version: whatever is reported, one manifest stays.
func TestRivalPublishers(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{"with the same bytes": {"mine", nil}, "with other bytes": {"theirs", ErrConflict}} {
		w := newWorld(t)
		rival := w.draft("1.0", w.executable(c.text))
		rival.Created = noon.Add(time.Minute)
		w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Key: artifacts.ManifestKey("1.0"), Times: 1, Before: func() {
			_, err := Release(t.Context(), w.bucket, rival)
			must(t, err)
		}})
		released, err := Release(t.Context(), w.bucket, w.draft("1.0", w.executable("mine")))
		if !errors.Is(err, c.want) || err == nil && (!released.Already || !released.Manifest.Created.Equal(rival.Created)) {
			t.Errorf("%s: got %+v and %v, want theirs and %v", name, released, err, c.want)
		}
	}
}

// A store that lost its reply calls us our own rival.
func TestReleaseWhoseReplyWasLost(t *testing.T) {
	w := newWorld(t)
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Times: 3, Err: bucket.ErrExists, Applied: true})
	if released := w.release("1.0"); released.Already || released.SHA256 != artifacts.Sum(w.bucket.Bytes(artifacts.ManifestKey("1.0"))) {
		t.Errorf("released %+v, want what is stored", released)
	}
}

func TestReleaseRefuses(t *testing.T) {
	w := newWorld(t)
	good := w.executable("a")
	bad := map[string]func(*Draft){
		"is not a name": func(d *Draft) { d.App = "../web" }, "is not a version": func(d *Draft) { d.Version = "1/2" },
		"key": func(d *Draft) { d.Keys = nil }, "artifacts": func(d *Draft) { d.Packed = nil },
		"two artifacts": func(d *Draft) { d.Packed = append(d.Packed, good) }, "created": func(d *Draft) { d.Created = time.Time{} },
		"hooks": func(d *Draft) { d.Hooks.PreStart = []string{"/bin/sh"} },
	}
	for what, spoil := range bad {
		d := w.draft("1.0", good)
		spoil(&d)
		if _, err := Release(t.Context(), w.bucket, d); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v, want an error about it", what, err)
		}
	}
	if n := w.bucket.Calls(buckettest.Get, "") + w.bucket.Calls(buckettest.Put, ""); n != 0 {
		t.Errorf("asked the bucket %d times", n)
	}
}

// Someone without a key put a manifest there: it is not taken for ours.
func TestReleaseOverForgedManifest(t *testing.T) {
	w, forger := newWorld(t), newWorld(t)
	forger.bucket = w.bucket
	forger.release("1.0")
	_, err := Release(t.Context(), w.bucket, w.draft("1.0", w.executable("1.0")))
	wantIs(t, err, artifacts.ErrUntrusted)
}
