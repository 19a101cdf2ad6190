package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// shop is a world with a bit of everything in its bucket.
func shop(t *testing.T) *world {
	w := newWorld(t)
	for i, version := range []string{"1.0", "3.0", "2.0"} {
		d := w.draft(version, w.executable(version))
		d.Created = noon.Add(time.Duration(i) * time.Hour)
		_, err := Release(t.Context(), w.bucket, d)
		must(t, err)
	}
	w.promote("3.0")
	canary := w.promotion("3.0")
	canary.Channel = "canary"
	_, err := Promote(t.Context(), w.bucket, canary)
	must(t, err)
	stranger := newKey(t)
	other := artifacts.Manifest{Schema: 1, App: "other", Version: "6.0", Created: noon, Artifacts: manifestOf(w.draft("6.0", w.executable("x"))).Artifacts}
	envelope, err := other.Sign(stranger)
	must(t, err)
	w.bucket.Replace(artifacts.ManifestKey("6.0"), envelope)
	w.bucket.Replace(artifacts.ManifestKey("5.0"), []byte("no manifest"))
	w.bucket.Replace(artifacts.ManifestKey("4.0"), noise(artifacts.MaxManifestBytes+1))
	w.bucket.Replace("releases/half-way/web-linux-amd64-0123456789ab", noise(9))
	w.bucket.Replace("releases/bad version/manifest.json", []byte("{}"))
	w.bucket.Replace("channels/Bad.json", []byte("{}"))
	w.bucket.Replace(artifacts.PointerKey("broken"), []byte("{}"))
	w.bucket.Replace(artifacts.PointerKey("stranger"), w.pointerFor("stranger", stranger))
	return w
}

func (w *world) pointerFor(channel string, by artifacts.PrivateKey) []byte {
	w.Helper()
	data, err := artifacts.Pointer{Schema: 1, App: "web", Channel: channel, Sequence: 1, Version: "1.0", ManifestSHA256: artifacts.Sum(nil), Issued: noon}.Sign(by)
	must(w.T, err)
	return data
}

func TestList(t *testing.T) {
	w := shop(t)
	for _, trusting := range []bool{true, false} {
		trust := artifacts.Trust{}
		if trusting {
			trust = w.trust()
		}
		list, err := List(t.Context(), w.bucket, "web", trust)
		must(t, err)
		var releases, channels, broken []string
		for _, r := range list.Releases {
			releases = append(releases, r.Name)
			if r.Err != nil {
				broken = append(broken, r.Name)
			} else if r.Verified != trusting || r.Document.Version != r.Name || len(r.Document.Artifacts) != 1 || r.SHA256 == (artifacts.Digest{}) {
				t.Errorf("release %+v", r)
			}
			if want := map[string][]string{"3.0": {"canary", "stable"}}[r.Name]; !slices.Equal(r.Channels, want) {
				t.Errorf("%s is named by %q, want %q", r.Name, r.Channels, want)
			}
		}
		for _, c := range list.Channels {
			channels = append(channels, c.Name)
			if c.Verified != (trusting && (c.Name == "stable" || c.Name == "canary")) || (c.Err != nil) != (c.Name == "broken") {
				t.Errorf("channel %+v", c)
			}
		}
		if want := []string{"2.0", "3.0", "1.0", "4.0", "5.0", "6.0"}; !slices.Equal(releases, want) || !slices.Equal(broken, want[3:]) {
			t.Errorf("releases %q, of them broken %q, want %q", releases, broken, want)
		}
		if want := []string{"broken", "canary", "stable", "stranger"}; !slices.Equal(channels, want) {
			t.Errorf("channels %q, want %q", channels, want)
		}
	}
}

func TestListOfABucketThatFails(t *testing.T) {
	for _, fault := range []buckettest.Fault{{Op: buckettest.List}, {Op: buckettest.List, Key: "releases/"}, {Op: buckettest.Get, Key: artifacts.ManifestKey("2.0")}, {Op: buckettest.Get, Key: artifacts.PointerKey("stable")}} {
		w := shop(t)
		fault.Err = bucket.ErrDenied
		w.bucket.Fail(fault)
		_, err := List(t.Context(), w.bucket, "web", w.trust())
		wantIs(t, err, bucket.ErrDenied)
	}
	_, err := List(t.Context(), newWorld(t).bucket, "../web", artifacts.Trust{})
	if err == nil {
		t.Error("an app of another directory was listed")
	}
}

// What is shown without trust is well-formed and about what it is shown for.
func FuzzUnbelieved(f *testing.F) {
	key, err := artifacts.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	good, err := artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: 1, Version: "1.0", ManifestSHA256: artifacts.Sum(nil), Issued: noon}.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, s := range []string{"", "{}", `{"payload":"e30="}`, `{"payload":"e30"}`, `{"payload":"eyJzY2hlbWEiOjEsImFwcCI6IndlYiIsImNoYW5uZWwiOiJzdGFibGUifQ=="}`, `{"payload":"bnVsbA=="}`, `{"payload":"","payload":""}`, "[]", "null"} {
		f.Add([]byte(s))
	}
	l := look[artifacts.Pointer]{about: func(p artifacts.Pointer) bool { return p.App == "web" && p.Channel == "stable" }}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := l.unverified(data)
		if err == nil && (p.Validate() != nil || !l.about(p)) || err != nil && p != (artifacts.Pointer{}) {
			t.Fatalf("%q was taken for %+v and %v", data, p, err)
		}
	})
}

func TestVersionsAreNamesOfManifestsLatestFirst(t *testing.T) {
	w := shop(t)
	got, err := Versions(t.Context(), w.bucket)
	must(t, err)
	if want := []string{"4.0", "5.0", "6.0", "2.0", "3.0", "1.0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	w.bucket.Fail(buckettest.Fault{Op: buckettest.List, Err: bucket.ErrDenied})
	if got, err := Versions(t.Context(), w.bucket); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("got %q, %v, want the refusal", got, err)
	}
}

// TestListKeepsLittle: of large manifests, read one after the other, hardly
// anything stays in memory.
func TestListKeepsLittle(t *testing.T) {
	const manifests, most = 12, 1 << 20
	w := newWorld(t)
	packed := w.executable("text")
	for i := range manifests {
		large := manifestOf(w.draft(fmt.Sprint(i), packed))
		a := &large.Artifacts[0]
		a.Size, a.UnpackedBytes, a.Chunks = 20_000, 20_000, slices.Repeat([]artifacts.Chunk{{Size: 1, SHA256: artifacts.Sum(nil)}}, 20_000)
		envelope, err := large.Sign(w.key)
		must(t, err)
		w.bucket.Replace(artifacts.ManifestKey(large.Version), envelope)
	}
	reading := &counting{Bucket: w.bucket}
	before := heapInUse()
	listing, err := List(t.Context(), reading, "web", w.trust())
	must(t, err)
	if took := heapInUse() - before; took > most || len(listing.Releases) != manifests || !listing.Releases[0].Verified {
		t.Errorf("%d releases take %d bytes, want at most %d: %v", len(listing.Releases), took, most, listing.Releases[0].Err)
	}
	if reading.most.Load() != 1 {
		t.Errorf("%d manifests were read at a time", reading.most.Load())
	}
}

// counting counts the objects that are being read.
type counting struct {
	bucket.Bucket
	open, most atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	if n := c.open.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	body, object, err := c.Bucket.Get(ctx, key, r)
	if err != nil {
		return nil, object, err
	}
	return counted{body, c}, object, nil
}

type counted struct {
	io.ReadCloser
	by *counting
}

func (c counted) Read(p []byte) (int, error) {
	runtime.Gosched() // others begin meanwhile
	return c.ReadCloser.Read(p)
}

func (c counted) Close() error {
	c.by.open.Add(-1)
	return c.ReadCloser.Close()
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // a heap fits
}
