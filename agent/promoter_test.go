package agent_test

import (
	"errors"
	"testing"
	"time"

	"koboshi/agent/report"
	"koboshi/artifacts"
)

// promoted is a world with a key that may move a channel, and publishes nothing.
func promoted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	key, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w.promoter = &key
	w.promote("1", time.Time{})
	return w
}

// What the publisher signs moves no channel, and what the promoter signs is no release:
// not at a launch, on a live machine, by version or by a rollback.
func TestPublisherAndPromoterApart(t *testing.T) {
	for name, tt := range map[string]struct {
		given func(*world)
		want  error
	}{
		"each its own":           {func(w *world) { w.release("2") }, nil},
		"the publisher moves":    {func(w *world) { w.publisher = true; w.release("2") }, artifacts.ErrUntrusted},
		"the promoter publishes": {func(w *world) { key := w.key; w.key = *w.promoter; w.release("2"); w.key = key }, artifacts.ErrUntrusted},
	} {
		for how, do := range map[string]func(*world) (report.Report, error){"boot": (*world).boot, "sync": (*world).sync} {
			t.Run(name+", "+how, func(t *testing.T) {
				w := promoted(t)
				tt.given(w)
				if _, err := do(w); !errors.Is(err, tt.want) || (w.running != "") != (tt.want == nil) {
					t.Errorf("%v, want %v; %q runs", err, tt.want, w.running)
				}
			})
		}
	}
}

// A pointer on the disk that the publisher has signed, from before the promoters were
// set, lets no release stand in; one of the promoter does.
func TestFallbackNeedsThePromoter(t *testing.T) {
	for name, publisher := range map[string]bool{"the promoter": false, "the publisher": true} {
		t.Run(name, func(t *testing.T) {
			w := promoted(t)
			key := w.promoter
			if publisher {
				w.promoter = nil
			}
			baked(w)
			w.promoter = key
			w.promote("2", time.Time{})
			silent(w)
			rep, err := w.boot()
			if stands := err == nil && rep.Verdict == report.Stale; stands == publisher {
				t.Errorf("%s, %v; %q runs", rep.Verdict, err, w.running)
			}
		})
	}
}
