package publish

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/retire"
)

// retire brings the mark of a version into a state.
func (w *world) retire(version string, states ...retire.State) {
	w.Helper()
	found, err := retire.Read(w.Context(), w.bucket, "web", version)
	must(w.T, err)
	for _, s := range states {
		m, err := found.To(s, "web", version, "test", noon)
		must(w.T, err)
		found, err = retire.Write(w.Context(), w.bucket, m, found)
		must(w.T, err)
	}
}

func TestRetiredIsNotUsed(t *testing.T) {
	for name, c := range map[string]struct {
		states []retire.State
		want   error
	}{
		"none":     {nil, nil},
		"marked":   {[]retire.State{retire.Marked}, retire.ErrRetired},
		"kept":     {[]retire.State{retire.Marked, retire.Kept}, nil},
		"unmarked": {[]retire.State{retire.Marked, retire.Unmarked}, nil},
		"sweeping": {[]retire.State{retire.Marked, retire.Sweeping}, retire.ErrRetired},
		"gone":     {[]retire.State{retire.Marked, retire.Sweeping, retire.Gone}, retire.ErrRetired},
	} {
		w := newWorld(t)
		w.release("1.0")
		w.release("2.0")
		w.promote("2.0")
		before := string(w.bucket.Bytes(artifacts.PointerKey("stable")))
		w.retire("1.0", c.states...)
		if _, err := Promote(t.Context(), w.bucket, w.promotion("1.0")); !errors.Is(err, c.want) {
			t.Errorf("%s: promote: %v", name, err)
		}
		if now := string(w.bucket.Bytes(artifacts.PointerKey("stable"))); c.want != nil && now != before {
			t.Errorf("%s: the channel was moved", name)
		}
		_, err := Release(t.Context(), w.bucket, w.draft("1.0", w.executable("1.0"))) // the same bytes
		if !errors.Is(err, c.want) {
			t.Errorf("%s: publish again: %v", name, err)
		}
		w.promote("2.0")
	}
}

// A version that is gone is not published again, with whatever bytes.
func TestGoneIsNotPublished(t *testing.T) {
	for _, text := range []string{"1.0", "other bytes"} {
		w := newWorld(t)
		w.release("1.0")
		w.retire("1.0", retire.Marked, retire.Sweeping, retire.Gone)
		w.bucket.Drop(artifacts.ManifestKey("1.0"))
		puts := w.bucket.Calls(buckettest.Put, "")
		_, err := Release(t.Context(), w.bucket, w.draft("1.0", w.executable(text)))
		wantIs(t, err, retire.ErrRetired)
		if n := w.bucket.Calls(buckettest.Put, ""); n != puts {
			t.Errorf("%d objects were stored", n-puts)
		}
	}
}

// It was marked while it was uploaded.
func TestRetiredWhilePublished(t *testing.T) {
	w := newWorld(t)
	packed := w.executable("1.0")
	key := manifestOf(w.draft("1.0", packed)).Artifacts[0].Key
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Key: key, Times: 1, Before: func() { w.retire("1.0", retire.Marked) }})
	_, err := Release(t.Context(), w.bucket, w.draft("1.0", packed))
	wantIs(t, err, retire.ErrRetired)
	if w.bucket.Bytes(artifacts.ManifestKey("1.0")) != nil {
		t.Error("the manifest was stored")
	}
}

// What has lasted an hour writes neither pointer nor manifest, and an upload may last
// longer.
func TestWritesEndAfterAnHour(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{59 * time.Minute, nil}, {time.Hour, retire.ErrTooLong}} {
		for name, key := range map[string]string{"promote": artifacts.PointerKey("stable"), "publish": artifacts.ManifestKey("1.0")} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				draft := w.draft("1.0", w.executable("1.0"))
				slow := &slowly{Bucket: w.bucket, key: retire.Key("1.0"), takes: c.after}
				var err error
				if name == "promote" {
					_, err = Release(t.Context(), w.bucket, draft)
					must(t, err)
					_, err = Promote(t.Context(), slow, w.promotion("1.0"))
				} else {
					_, err = Release(t.Context(), slow, draft)
				}
				if !errors.Is(err, c.want) || (w.bucket.Bytes(key) != nil) != (c.want == nil) {
					t.Errorf("%s after %s: %v, stored %v", name, c.after, err, w.bucket.Bytes(key) != nil)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		packed := w.executable("1.0")
		key := manifestOf(w.draft("1.0", packed)).Artifacts[0].Key
		if _, err := Release(t.Context(), &slowly{Bucket: w.bucket, key: key, takes: 5 * time.Hour}, w.draft("1.0", packed)); err != nil {
			t.Errorf("an upload of hours: %v", err)
		}
	})
}

// slowly is a bucket whose answer for one key takes its time.
type slowly struct {
	bucket.Bucket
	key   string
	takes time.Duration
}

func (s *slowly) Get(ctx context.Context, key string, r bucket.Range) (body io.ReadCloser, o bucket.Object, err error) {
	body, o, err = s.Bucket.Get(ctx, key, r)
	if key == s.key {
		<-time.After(s.takes)
	}
	return body, o, err
}
