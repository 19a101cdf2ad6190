package artifacts_test

import (
	"fmt"
	"math"
	"testing"

	"koboshi/artifacts"
)

// rollingOut is a pointer to 1.4.2 that rolls out a version.
func rollingOut(version string, percent int) artifacts.Pointer {
	p := pointer()
	p.Next = &artifacts.Next{Version: version, ManifestSHA256: artifacts.Sum([]byte(version)), Percent: percent}
	return p
}

// The share of the instances that are in is the percentage, none ever leaves while it
// grows, and another release has others first.
func TestMembersOfRollout(t *testing.T) {
	const instances = 10_000
	in := map[string]int{} // at which percentage an instance came in
	for percent := range 101 {
		p := rollingOut("1.5.0", percent)
		members := 0
		for i := range instances {
			id := fmt.Sprintf("i-%017x", i*7919)
			if !p.InRollout(id) {
				if at, was := in[id]; was {
					t.Fatalf("%s is in at %d %%, and not at %d %%", id, at, percent)
				}
				continue
			}
			members++
			if _, was := in[id]; !was {
				in[id] = percent
			}
		}
		share := float64(percent) / 100
		if sigma := math.Sqrt(instances * share * (1 - share)); math.Abs(float64(members)-instances*share) > 4*sigma {
			t.Errorf("at %d %%: %d of %d, 4 sigma are %.0f", percent, members, instances, 4*sigma)
		}
	}
	for _, other := range []artifacts.Pointer{rollingOut("1.5.1", 10), elsewhere("api", "stable"), elsewhere("web", "canary")} {
		both, first := 0, 0
		for id, at := range in {
			if at <= 10 {
				first++
				if other.InRollout(id) {
					both++
				}
			}
		}
		if share := float64(both) / float64(first); share > 0.2 {
			t.Errorf("%.2f of those that are first with 1.5.0 are with %s in %s of %s", share, other.Next.Version, other.Channel, other.App)
		}
	}
}

func elsewhere(app, channel string) artifacts.Pointer {
	p := rollingOut("1.5.0", 10)
	p.App, p.Channel = app, channel
	return p
}

// What agents in the field choose by must never change. The places were computed with
// sha256sum and Python.
func TestPlacesStay(t *testing.T) {
	for id, want := range map[string]int{"i-0123456789abcdef0": 7, "i-0a5c0de0000000001": 35} {
		if got := artifacts.Place("web", "stable", "1.5.0", id); got != want {
			t.Errorf("%s has place %d, want %d", id, got, want)
		}
		for percent, in := range map[int]bool{want: false, want + 1: true} {
			if artifacts.Member("web", "stable", "1.5.0", id, percent) != in {
				t.Errorf("%s at %d %%: want %t", id, percent, in)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	const id = "i-0123456789abcdef0"
	for name, c := range map[string]struct {
		pointer  artifacts.Pointer
		instance string
		want     string
	}{
		"no rollout":        {pointer(), id, "1.4.2"},
		"nobody":            {rollingOut("1.5.0", 0), id, "1.4.2"},
		"everybody":         {rollingOut("1.5.0", 100), id, "1.5.0"},
		"baking, everybody": {rollingOut("1.5.0", 100), "", "1.4.2"},
	} {
		got := c.pointer.Choose(c.instance)
		sum := c.pointer.ManifestSHA256
		if c.want == "1.5.0" {
			sum = c.pointer.Next.ManifestSHA256
		}
		if want := (artifacts.Reference{App: "web", Version: c.want, ManifestSHA256: sum}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestSamePointers(t *testing.T) {
	p := rollingOut("1.5.0", 10)
	again := rollingOut("1.5.0", 10)
	again.Sequence++
	if !p.Same(again) || !pointer().Same(pointer()) {
		t.Error("signed again, it differs")
	}
	for _, other := range []artifacts.Pointer{pointer(), rollingOut("1.5.0", 11), rollingOut("1.5.1", 10), {Version: p.Version, Next: p.Next}} {
		if p.Same(other) || other.Same(p) {
			t.Errorf("%+v is the same", other)
		}
	}
	next := artifacts.Sum([]byte("1.5.0"))
	if !p.PointsTo(next) || !p.PointsTo(p.ManifestSHA256) || pointer().PointsTo(next) || p.PointsTo(artifacts.Digest{}) {
		t.Error("PointsTo")
	}
}
