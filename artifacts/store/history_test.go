package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"koboshi/artifacts"
)

// The clock of every later event is earlier: it must not matter.
func TestCandidates(t *testing.T) {
	s := open(t)
	one, two, three, four := stage(t, s, "1"), stage(t, s, "2"), stage(t, s, "3"), stage(t, s, "4")
	five := stage(t, s, "5")
	stage(t, s, "6")
	if _, ok, err := s.LastKnownGood("i-1"); ok || err != nil {
		t.Errorf("last known good before any gate: %v, %v", ok, err)
	}
	healthyNow(t, s, one, "i-1", noon.Add(9*time.Hour))
	healthyNow(t, s, two, "i-1", noon.Add(2*time.Hour))
	healthyNow(t, s, three, "i-0", noon.Add(time.Hour)) // on the instance that the AMI was made from
	in := files{"bin/web": "4"}.release("4", artifacts.TarZst, true)
	if err := s.MarkSeen(four, Sighting{Pointer: pointerTo(in.Manifest, "stable", 8), Seen: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	activate(t, s, five)
	all, err := s.Candidates("i-1")
	if got := ids(all); err != nil || !slices.Equal(got, []string{"2", "1", "5", "3", "6", "4"}) {
		t.Errorf("candidates %v, %v", got, err)
	}
	if r, ok, err := s.LastKnownGood("i-1"); !ok || err != nil || r.ID() != two.ID() || !r.HealthySince().Equal(noon.Add(2*time.Hour)) {
		t.Errorf("last known good: %v %v %v", r.ID(), ok, err)
	}
	if _, ok, _ := s.LastKnownGood(""); ok {
		t.Error("a last known good without an instance")
	}
	healthyNow(t, s, one, "i-1", noon)
	if r, _, _ := s.LastKnownGood("i-1"); r.ID() != one.ID() {
		t.Errorf("last known good: %v, want the one that passed last", r.ID())
	}
}

// A release that passes again with nothing in between is not written again; its
// counter is above all others, also those of releases that do not verify.
func TestMarkHealthy(t *testing.T) {
	s := open(t)
	one, two := stage(t, s, "1"), stage(t, s, "2")
	healthyNow(t, s, two, "i-1", noon)
	before := picture(t, s.Dir())
	healthyNow(t, s, two, "i-1", noon.Add(time.Hour))
	samePicture(t, picture(t, s.Dir()), before)
	healthyNow(t, s, two, "i-2", noon)
	if err := os.Remove(meta(two, "manifest")); err != nil {
		t.Fatal(err)
	}
	healthyNow(t, s, one, "i-1", noon)
	h1, h2 := must(s.readHealthy(one.ID())), must(s.readHealthy(two.ID()))
	if h1.Order != h2.Order+1 || h2.Place.Instance != "i-2" {
		t.Errorf("%+v after %+v", h1, h2)
	}
	for _, order := range []string{"-1", "0", "9223372036854775807"} {
		damaged := fmt.Sprintf(`{"instance":"i-1","order":%s,"at":"2026-11-21T12:00:00Z"}`, order)
		if err := os.WriteFile(meta(one, "healthy"), []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := must(s.load(one.ID())); r.HealthyOn("i-1") || !r.HealthySince().IsZero() {
			t.Errorf("healthy by a counter of %s", order)
		}
	}
}

func TestMarks(t *testing.T) {
	s := open(t)
	in := files{"a": "1"}.release("1", artifacts.TarGz, false)
	in.Pointer = nil
	r, err := s.Stage(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Pointers()) != 0 || !r.made.Installed.Equal(noon) {
		t.Errorf("asked for by version, but %v, installed %v", r.Pointers(), r.made.Installed)
	}
	later, stable, canary := noon.Add(time.Hour), pointerTo(in.Manifest, "stable", 9), pointerTo(in.Manifest, "canary", 7)
	if err := errors.Join(s.MarkSeen(r, Sighting{Pointer: stable, Seen: later, Source: "s3://releases", ETag: `"1"`}), s.MarkSeen(r, Sighting{Pointer: canary, Seen: noon}), s.MarkHealthy(r, Place{Instance: "i-1"}, later)); err != nil {
		t.Fatal(err)
	}
	find := func() Release {
		t.Helper()
		r, ok, err := s.Find(in.Manifest)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return r
	}
	r = find()
	for channel, want := range map[string]Sighting{"stable": {Pointer: stable, Seen: later, Source: "s3://releases", ETag: `"1"`}, "canary": {Pointer: canary, Seen: noon}} {
		got, ok := r.SeenOn(channel)
		if !ok || !got.Seen.Equal(want.Seen) || got.Pointer.Sequence() != want.Pointer.Sequence() || got.Source != want.Source || got.ETag != want.ETag {
			t.Errorf("on %s: %v, %v", channel, ok, got)
		}
	}
	if _, ok := r.SeenOn("beta"); ok || len(r.Pointers()) != 2 {
		t.Errorf("seen on beta: %v; %d channels", ok, len(r.Pointers()))
	}
	if !r.HealthyOn("i-1") || r.HealthyOn("i-2") || r.HealthyOn("") || !r.HealthySince().Equal(later) {
		t.Errorf("healthy since %v", r.HealthySince())
	}
	other := files{"a": "2"}.release("2", artifacts.TarGz, false)
	if err := s.MarkSeen(r, Sighting{Pointer: pointerTo(other.Manifest, "stable", 10), Seen: later}); err == nil {
		t.Error("a pointer to another release was recorded")
	}
	for name, torn := range map[string]string{"pointers/stable": `{"seen":"2026-11-21T12:00:00Z","env`, "healthy": `{"instance":"i-1","order":1,"at":"20`} {
		if err := os.WriteFile(meta(r, name), []byte(torn), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r = find()
	if _, ok := r.SeenOn("stable"); ok || r.HealthyOn("i-1") || len(r.Pointers()) != 1 {
		t.Errorf("with torn marks: seen on %d channels, healthy since %v", len(r.Pointers()), r.HealthySince())
	}
	if err := os.RemoveAll(meta(r, "pointers")); err != nil {
		t.Fatal(err)
	}
	if r := find(); len(r.Pointers()) != 0 {
		t.Error("pointers of nowhere")
	}
}

// A pointer counts for the channel that its signer wrote it for, and only for
// what it points to.
func TestPointersAreVerified(t *testing.T) {
	s := open(t)
	r, other := stage(t, s, "1"), stage(t, s, "2")
	stranger := must(artifacts.GenerateKey())
	forged := pointer(r.Manifest(), "canary", 99)
	for name, envelope := range map[string][]byte{
		"of another channel": pointerTo(r.Manifest(), "stable", 9).Envelope(),
		"to another release": pointerTo(other.Manifest(), "canary", 9).Envelope(),
		"of another key":     must(forged.Sign(stranger)),
		"empty":              nil,
	} {
		if err := s.writeJSON("releases/"+r.ID(), "pointers/canary", seen{Seen: noon, Envelope: envelope}); err != nil {
			t.Fatal(err)
		}
		if got := must(s.load(r.ID())); len(got.Pointers()) != 1 {
			t.Errorf("%s: it counts: %v", name, got.Pointers())
		}
	}
}

// A release that is staged again keeps the pointers of other channels.
func TestStageKeepsOtherChannels(t *testing.T) {
	s := open(t)
	r := stage(t, s, "1")
	if err := s.MarkSeen(r, Sighting{Pointer: pointerTo(r.Manifest(), "canary", 3), Seen: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	in := files{"bin/web": "1"}.release("1", artifacts.TarZst, true)
	in.Pointer = pointerTo(in.Manifest, "stable", 8)
	r = must(s.Stage(t.Context(), in))
	canary, ok := r.SeenOn("canary")
	stable, _ := r.SeenOn("stable")
	if !ok || canary.Pointer.Sequence().Number != 3 || !canary.Seen.Equal(noon.Add(time.Hour)) || stable.Pointer.Sequence().Number != 8 {
		t.Errorf("canary %v, stable %v", canary, stable)
	}
	in = files{"bin/web": "1"}.release("1", artifacts.TarZst, true)
	in.Pointer = nil
	if r = must(s.Stage(t.Context(), in)); len(r.Pointers()) != 2 {
		t.Errorf("by version: %v", r.Pointers())
	}
}

// A release of other keys, or for a later agent, is none; its link's error has
// the reason.
func TestUntrustedReleases(t *testing.T) {
	stranger := must(artifacts.NewTrust("1.0.0", 1, must(artifacts.GenerateKey()).Public()))
	for name, tc := range map[string]struct {
		trust artifacts.Trust
		want  error
	}{
		"other keys": {stranger, artifacts.ErrUntrusted},
		"no key":     {artifacts.Trust{}, artifacts.ErrUntrusted},
		"too old":    {must(artifacts.NewTrust("0.9.0", 1, key.Public())), artifacts.ErrTooOld},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			in := files{"bin/web": "1"}.release("1", artifacts.TarZst, true)
			in = sign("1", in.Artifact, in.Content.(*content), func(m *artifacts.Manifest) { m.MinAgent = "1.0.0" })
			r := must(s.Stage(t.Context(), in))
			two := stage(t, s, "2")
			healthyNow(t, s, r, "i-1", noon)
			activate(t, s, r)
			healthyNow(t, s, two, "i-1", noon)
			s = must(Open(s.Dir(), tc.trust))
			t.Cleanup(func() { _ = s.Close() })
			if _, found, err := s.Find(in.Manifest); found || err != nil {
				t.Errorf("found: %v, %v", found, err)
			}
			_, found, err := s.Current()
			link, broken := errors.AsType[*LinkError](err)
			if found || !broken || !errors.Is(err, tc.want) || errors.Is(err, ErrDisk) || link.Link != "current" {
				t.Errorf("current: %v, %v", found, err)
			}
			if err := s.Activate(r); !errors.Is(err, tc.want) || errors.Is(err, ErrDisk) {
				t.Errorf("activate: %v", err)
			}
			all, err := s.Candidates("i-1")
			if err != nil || slices.Contains(ids(all), "1") {
				t.Errorf("candidates: %v, %v", ids(all), err)
			}
			if removed, err := s.Prune(t.Context(), 9); err != nil || slices.Contains(removed, r.ID()) {
				t.Errorf("pruned %v, %v", removed, err)
			}
			if err := os.Remove(s.Dir() + "/current"); err != nil {
				t.Fatal(err)
			}
			if removed, err := s.Prune(t.Context(), 9); err != nil || !slices.Contains(removed, r.ID()) {
				t.Errorf("pruned %v, %v, want %s too", removed, err, r.ID())
			}
		})
	}
}

// A release that is loaded many times is verified once, but other bytes are
// always verified anew.
func TestVerifiedOnce(t *testing.T) {
	s := open(t)
	r := stage(t, s, "1")
	if a, b := must(s.load(r.ID())), must(s.load(r.ID())); a.Manifest() != b.Manifest() || a.Pointers()[0] != b.Pointers()[0] {
		t.Error("verified again")
	}
	made := r.made
	made.App = "other"
	if err := s.writeJSON("releases/"+r.ID(), completeFile, made); err != nil {
		t.Fatal(err)
	}
	if _, err := s.load(r.ID()); !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("the same manifest for another app: %v", err)
	}
}
