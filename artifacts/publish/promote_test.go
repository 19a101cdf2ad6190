package publish

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

func TestPromote(t *testing.T) {
	w := newWorld(t)
	one, two := w.release("1.0"), w.release("2.0")
	p := w.promotion("1.0")
	p.Expires, p.Spread = time.Hour, time.Minute
	p.Now = noon.In(time.FixedZone("elsewhere", 3600)).Add(5 * time.Millisecond)
	first, err := Promote(t.Context(), w.bucket, p)
	must(t, err)
	pointer, _ := w.stored()
	want := artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: noon.Unix(), Version: "1.0", ManifestSHA256: one.SHA256,
		Issued: noon, Expires: noon.Add(time.Hour), SpreadSeconds: 60}
	if pointer != want || first.Pointer != want || first.Previous != nil {
		t.Errorf("stored %+v, returned %+v, want %+v and nothing before", pointer, first, want)
	}
	second := w.promote("2.0") // in the same second
	if p := second.Pointer; p.Sequence != noon.Unix()+1 || p.ManifestSHA256 != two.SHA256 || second.Previous == nil || *second.Previous != want {
		t.Errorf("then %+v after %+v", second.Pointer, second.Previous)
	}
	if again := w.promote("2.0"); again.Pointer.Sequence != noon.Unix()+2 || again.Pointer.Version != "2.0" {
		t.Errorf("the same again: %+v, want a higher sequence", again.Pointer)
	}
	back := w.promotion("1.0")
	back.Now = noon.Add(time.Hour)
	if rolled, err := Promote(t.Context(), w.bucket, back); err != nil || rolled.Pointer.Sequence != noon.Unix()+3600 {
		t.Errorf("back to 1.0: %+v and %v", rolled.Pointer, err)
	}
	w.bucket.Drop(artifacts.PointerKey("stable"))
	back.Now = noon.Add(2 * time.Hour)
	if anew, err := Promote(t.Context(), w.bucket, back); err != nil || anew.Pointer.Sequence != noon.Unix()+7200 || anew.Previous != nil {
		t.Errorf("made again: %+v and %v, want a sequence that has grown", anew.Pointer, err)
	}
}

func TestPromoteRefuses(t *testing.T) {
	stranger := newKey(t)
	key := artifacts.PointerKey("stable")
	for name, c := range map[string]struct {
		spoil func(w *world, p *Promotion)
		want  error
	}{
		"no such release":       {func(_ *world, p *Promotion) { p.Version = "9" }, bucket.ErrNotFound},
		"release of a stranger": {func(w *world, p *Promotion) { p.Keys = []artifacts.PrivateKey{stranger} }, artifacts.ErrUntrusted},
		"manifest tampered":     {func(w *world, _ *Promotion) { w.bucket.FlipByte(artifacts.ManifestKey("1.0"), 99) }, artifacts.ErrUntrusted},
		"manifest of another": {func(w *world, _ *Promotion) {
			w.bucket.Replace(artifacts.ManifestKey("1.0"), w.bucket.Bytes(artifacts.ManifestKey("2.0")))
		}, artifacts.ErrUntrusted},
		"artifact gone": {func(w *world, _ *Promotion) { w.bucket.Drop(w.artifact().Key) }, bucket.ErrNotFound},
		"index gone": {func(w *world, p *Promotion) {
			p.Version = "4.0"
			released, err := Release(w.Context(), w.bucket, w.draft("4.0", w.tree("linux/amd64", "tree")))
			must(w.T, err)
			w.bucket.Drop(released.Manifest.Artifacts[0].Index.Key)
		}, bucket.ErrNotFound},
		"artifact cut":     {func(w *world, _ *Promotion) { w.bucket.Replace(w.artifact().Key, noise(5)) }, artifacts.ErrIntegrity},
		"pointer garbage":  {func(w *world, _ *Promotion) { w.bucket.Replace(key, []byte("{}")) }, artifacts.ErrUntrusted},
		"pointer too long": {func(w *world, _ *Promotion) { w.bucket.Replace(key, noise(artifacts.MaxPointerBytes+1)) }, artifacts.ErrUntrusted},
		"pointer with a huge sequence and no signature of ours": {func(w *world, _ *Promotion) {
			w.bucket.Replace(key, w.pointer(math.MaxInt64-1, stranger))
		}, artifacts.ErrUntrusted},
		"pointer of another channel": {func(w *world, _ *Promotion) {
			p := w.promotion("2.0")
			p.Channel = "canary"
			_, err := Promote(w.Context(), w.bucket, p)
			must(w.T, err)
			w.bucket.Replace(key, w.bucket.Bytes(artifacts.PointerKey("canary")))
		}, artifacts.ErrUntrusted},
		"sequence used up":            {func(w *world, _ *Promotion) { w.bucket.Replace(key, w.pointer(math.MaxInt64, w.key)) }, ErrUsedUp},
		"bad channel":                 {func(_ *world, p *Promotion) { p.Channel = "../stable" }, nil},
		"bad version":                 {func(_ *world, p *Promotion) { p.Version = "../1" }, nil},
		"no key":                      {func(_ *world, p *Promotion) { p.Keys = nil }, nil},
		"expired before it is issued": {func(_ *world, p *Promotion) { p.Expires = -time.Hour }, nil},
		"spread":                      {func(_ *world, p *Promotion) { p.Spread = 48 * time.Hour }, nil},
		"no clock":                    {func(_ *world, p *Promotion) { p.Now = time.Time{} }, nil},
	} {
		w := newWorld(t)
		w.release("1.0")
		w.release("2.0")
		p := w.promotion("1.0")
		c.spoil(w, &p)
		before := string(w.bucket.Bytes(key))
		if _, err := Promote(t.Context(), w.bucket, p); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if string(w.bucket.Bytes(key)) != before {
			t.Errorf("%s: the channel was moved", name)
		}
	}
}

// artifact is that of 1.0.
func (w *world) artifact() artifacts.Artifact {
	w.Helper()
	m, err := readManifest(w.Context(), w.bucket, w.trust(), "web", "1.0")
	must(w.T, err)
	return m.Manifest().Artifacts[0]
}

// pointer is one to 2.0 that someone has signed.
func (w *world) pointer(sequence int64, by artifacts.PrivateKey) []byte {
	w.Helper()
	data, err := artifacts.Pointer{Schema: 1, App: "web", Channel: "stable", Sequence: sequence, Version: "2.0", ManifestSHA256: artifacts.Sum([]byte("x")), Issued: noon}.Sign(by)
	must(w.T, err)
	return data
}

// Keys are rotated: the old pointer has the old signature only.
func TestPromoteWithAnotherKey(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.promote("1.0")
	next := newKey(t)
	p := w.promotion("1.0")
	p.Keys = []artifacts.PrivateKey{next}
	_, err := Promote(t.Context(), w.bucket, p)
	wantIs(t, err, artifacts.ErrUntrusted)
	p.Trust = w.trust(next)
	promoted, err := Promote(t.Context(), w.bucket, p)
	if err != nil || promoted.Pointer.Sequence != noon.Unix()+1 {
		t.Errorf("trusting both keys: %+v and %v", promoted.Pointer, err)
	}
}

// before has something happen between the reading and the writing of the channel.
func (w *world) before(times int, do func()) {
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Key: artifacts.PointerKey("stable"), Times: times, Before: do})
}

func TestMovedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		first, rival string
		want         error
	}{
		"to another version":      {"1.0", "3.0", ErrMoved},
		"to ours":                 {"1.0", "2.0", nil},
		"signed again":            {"1.0", "1.0", nil},
		"new, to another version": {"", "3.0", ErrMoved},
		"new, to ours":            {"", "2.0", nil},
	} {
		w := newWorld(t)
		for _, v := range []string{"1.0", "2.0", "3.0"} {
			w.release(v)
		}
		if c.first != "" {
			w.promote(c.first)
		}
		w.before(1, func() { w.promote(c.rival) })
		p := w.promotion("2.0")
		p.Spread = time.Second // else a rival's pointer to 2.0 is ours, byte for byte
		promoted, err := Promote(t.Context(), w.bucket, p)
		pointer, _ := w.stored()
		if !errors.Is(err, c.want) || err == nil && (promoted.Pointer != pointer || pointer.Version != "2.0" || promoted.Previous.Version != c.rival) {
			t.Errorf("%s: got %+v and %v with %+v stored, want %v", name, promoted, err, pointer, c.want)
		}
		if moved, ok := errors.AsType[*MovedError](err); ok && (moved.Version != c.rival || moved.Sequence != pointer.Sequence || moved.Channel != "stable") {
			t.Errorf("%s: returned %+v, stored is %+v", name, moved, pointer)
		}
	}
}

func TestDeletedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.promote("1.0")
	w.before(1, func() { w.bucket.Drop(artifacts.PointerKey("stable")) })
	if promoted := w.promote("1.0"); promoted.Previous != nil {
		t.Errorf("got %+v, want a new channel", promoted)
	}
}

// A store that lost its reply calls us our own rival.
func TestPromoteWhoseReplyWasLost(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Key: artifacts.PointerKey("stable"), Times: 1, Err: bucket.ErrExists, Applied: true})
	promoted := w.promote("1.0")
	if pointer, _ := w.stored(); pointer != promoted.Pointer || w.bucket.Calls(buckettest.Put, artifacts.PointerKey("stable")) != 1 {
		t.Errorf("stored %+v, returned %+v", pointer, promoted.Pointer)
	}
}

// A channel that never holds still is given up on.
func TestPromoteHasABudget(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	w.promote("1.0")
	w.bucket.Fail(buckettest.Fault{Op: buckettest.Put, Key: artifacts.PointerKey("stable"), Err: bucket.ErrChanged})
	_, err := Promote(t.Context(), w.bucket, w.promotion("1.0"))
	wantIs(t, err, bucket.ErrChanged)
	if n := w.bucket.Calls(buckettest.Put, artifacts.PointerKey("stable")); n != 1+rounds {
		t.Errorf("wrote %d times, want %d", n, 1+rounds)
	}
}

// Every promoter is in the channel's history or gets an error, and the
// history only grows.
func TestRacingPromoters(t *testing.T) {
	const racers, versions = 50, 5
	w := newWorld(t)
	for v := range versions {
		w.release(fmt.Sprint(v))
	}
	var mu sync.Mutex
	won := map[int64]string{}
	lost := 0
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			p := w.promotion(fmt.Sprint(i % versions))
			p.Spread = time.Duration(i) * time.Second // no two pointers are alike
			promoted, err := Promote(t.Context(), w.bucket, p)
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrMoved) {
				lost++
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			if other, twice := won[promoted.Pointer.Sequence]; twice {
				t.Errorf("sequence %d went to %s and to %s", promoted.Pointer.Sequence, other, promoted.Pointer.Version)
			}
			won[promoted.Pointer.Sequence] = promoted.Pointer.Version
		})
	}
	all.Wait()
	pointer, _ := w.stored()
	if len(won)+lost != racers || len(won) == 0 {
		t.Errorf("%d promoted, %d got an error, of %d", len(won), lost, racers)
	}
	for i := range int64(len(won)) { // no gap, so no write was lost
		if won[noon.Unix()+i] == "" {
			t.Errorf("no promotion has sequence %d of %d", i, len(won))
		}
	}
	if last := noon.Unix() + int64(len(won)) - 1; pointer.Sequence != last || won[last] != pointer.Version {
		t.Errorf("stored %s with sequence %d, want %s with %d", pointer.Version, pointer.Sequence, won[last], last)
	}
}

// A signature that is added to a manifest while it is promoted changes its hash.
func TestSignedWhilePromoted(t *testing.T) {
	w := newWorld(t)
	w.release("1.0")
	other := newKey(t)
	w.before(1, func() {
		_, err := AddSignature(t.Context(), w.bucket, Signing{App: "web", Version: "1.0", Keys: []artifacts.PrivateKey{other}, Trust: w.trust()})
		must(t, err)
	})
	promoted := w.promote("1.0")
	if pointer, _ := w.stored(); pointer != promoted.Pointer || !strings.Contains(string(w.bucket.Bytes(artifacts.ManifestKey("1.0"))), other.Public().ID()) {
		t.Errorf("stored %+v, returned %+v", pointer, promoted.Pointer)
	}
}
