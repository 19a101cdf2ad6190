package prune

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

// The sweeps stop the real functions at each of their calls while others run: whatever
// happens in between, every channel points to a whole release.

// beside is what runs beside a prune of 1.0.
var beside = map[string]func(w *world) func(bucket.Bucket) error{
	"promote": func(w *world) func(bucket.Bucket) error {
		return func(b bucket.Bucket) error {
			_, err := publish.Promote(w.Context(), b, w.promotion("stable", "1.0"))
			return err
		}
	},
	"roll out": func(w *world) func(bucket.Bucket) error {
		return func(b bucket.Bucket) error {
			p := w.promotion("stable", "1.0")
			p.Percent = 10
			_, err := publish.Promote(w.Context(), b, p)
			return err
		}
	},
	"keep and promote": func(w *world) func(bucket.Bucket) error {
		return func(b bucket.Bucket) error {
			if _, err := Keep(w.Context(), b, "web", "1.0", "operator", false); err != nil {
				return err
			}
			_, err := publish.Promote(w.Context(), b, w.promotion("stable", "1.0"))
			return err
		}
	},
	"prune": func(w *world) func(bucket.Bucket) error { return w.twice },
}

// twice marks, and sweeps a day later.
func (w *world) twice(b bucket.Bucket) error {
	for range 2 {
		if _, err := w.prune(b, rules()); err != nil {
			return err
		}
		<-time.After(24 * time.Hour)
	}
	return nil
}

func (w *world) shop() {
	w.release("1.0", 1000*time.Hour)
	w.release("2.0", 900*time.Hour, "1.5")
	w.promote("stable", "2.0")
}

// swept runs one schedule in a world of its own.
func swept(t *testing.T, schedule string, run func(w *world)) (ok bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.shop()
		run(w)
		for range 3 { // whatever was left is gone on with
			if _, err := w.prune(w.bucket, rules()); err != nil {
				t.Errorf("%s: a later prune: %v", schedule, err)
			}
			if what := w.broken(); what != "" {
				t.Errorf("%s: %s", schedule, what)
				return
			}
			<-time.After(24 * time.Hour)
		}
		ok = true
	})
	return ok
}

// TestStoppedBesideAPrune stops what runs beside a prune at each of its calls, while mark
// and sweep run to their end, and the other way round. With a death, the one that is
// stopped never goes on.
func TestStoppedBesideAPrune(t *testing.T) {
	whole, all := 0, 0
	for name, make := range beside {
		var ofOther, ofPrune int
		swept(t, name, func(w *world) { ofOther = calls(w.bucket, make(w)) })
		swept(t, name, func(w *world) { ofPrune = calls(w.bucket, w.twice) })
		if ofOther < 5 || ofPrune < 12 {
			t.Fatalf("%s makes %d calls, the prune %d", name, ofOther, ofPrune)
		}
		for _, dies := range []bool{false, true} {
			for k := 1; k <= ofOther; k++ {
				all++
				if swept(t, fmt.Sprintf("%s stopped at call %d, dies: %v", name, k, dies), func(w *world) {
					p := start(w.bucket, k, make(w))
					must(w.T, w.twice(w.bucket))
					_ = p.end(dies)
				}) {
					whole++
				}
			}
			for k := 1; k <= ofPrune; k++ {
				all++
				if swept(t, fmt.Sprintf("prune stopped at call %d beside %s, dies: %v", k, name, dies), func(w *world) {
					p := start(w.bucket, k, w.twice)
					_ = make(w)(w.bucket)
					_ = p.end(dies)
				}) {
					whole++
				}
			}
		}
	}
	t.Logf("every channel points to a whole release: %d of %d", whole, all)
}

// both stops both: one at each of its calls, the other at each of its own, and lets them
// go on in either order.
func both(t *testing.T, name string) (whole, all int) {
	make := beside[name]
	var ofOther, ofPrune int
	swept(t, name, func(w *world) { ofOther = calls(w.bucket, make(w)) })
	swept(t, name, func(w *world) { ofPrune = calls(w.bucket, w.twice) })
	for k := 1; k <= ofOther; k++ {
		for j := 1; j <= ofPrune; j++ {
			for _, pruneFirst := range []bool{false, true} {
				all++
				if swept(t, fmt.Sprintf("%s stopped at call %d, prune at %d, prune first: %v", name, k, j, pruneFirst), func(w *world) {
					if pruneFirst {
						prune := start(w.bucket, j, w.twice)
						p := start(w.bucket, k, make(w))
						_ = prune.end(false)
						_ = p.end(false)
						return
					}
					p := start(w.bucket, k, make(w))
					prune := start(w.bucket, j, w.twice)
					_ = p.end(false)
					_ = prune.end(false)
				}) {
					whole++
				}
			}
		}
	}
	return whole, all
}

// TestPublisherStopped: a publish that has found a version free, and is stopped at any of
// its calls while another one publishes it, and it is marked and removed, stores no
// manifest in the end.
func TestPublisherStopped(t *testing.T) {
	other := packed(t, "other bytes")
	publishes := func(w *world) func(bucket.Bucket) error {
		return func(b bucket.Bucket) error {
			_, err := publish.Release(w.Context(), b, publish.Draft{App: "web", Version: "1.1", Created: time.Now(), Packed: []*publish.Packed{other}, Keys: []artifacts.PrivateKey{w.key}})
			return err
		}
	}
	var n, whole int
	swept(t, "publish", func(w *world) { n = calls(w.bucket, publishes(w)) })
	for k := 1; k <= n; k++ {
		if swept(t, fmt.Sprintf("publish stopped at call %d", k), func(w *world) {
			p := start(w.bucket, k, publishes(w))
			if w.bucket.Bytes(artifacts.ManifestKey("1.1")) == nil {
				w.release("1.1", 800*time.Hour)
			}
			must(w.T, w.twice(w.bucket))
			if s := w.state("1.1"); s != retire.Gone {
				t.Errorf("call %d: 1.1 is %q", k, s)
			}
			err := p.end(false)
			if now := w.bucket.Bytes(artifacts.ManifestKey("1.1")); now != nil || err == nil {
				t.Errorf("call %d: what was gone was published: %v", k, err)
			}
			must(w.T, w.twice(w.bucket))
			for _, key := range w.keys() {
				if version, name, ok := split(key); ok && version == "1.1" && name != retire.Name {
					t.Errorf("call %d: %s is left", k, key)
				}
			}
		}) {
			whole++
		}
	}
	t.Logf("never published again, nothing is left: %d of %d", whole, n)
	if n < 6 {
		t.Errorf("a publish makes %d calls", n)
	}
}

func TestBothStopped(t *testing.T) {
	whole, all := both(t, "promote")
	t.Logf("every channel points to a whole release: %d of %d", whole, all)
}
