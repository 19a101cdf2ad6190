package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

func (w *world) prebake(o agent.PrebakeOptions) (report.Report, error) {
	w.t.Helper()
	return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Prebake(ctx, o)
	})
}

// prebaked is a launch on an AMI into which version 1 was prebaked an hour ago.
func prebaked(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.promote("1", time.Time{})
	if _, err := w.prebake(agent.PrebakeOptions{}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	w.fetches = 0
	return w
}

// The builder's metadata is not read, and nothing on it is started.
func TestPrebakeNeedsNoInstance(t *testing.T) {
	w := newWorld(t)
	w.identityErr, w.tagsErr = instance.ErrUnreachable, instance.ErrUnreachable
	w.broken["1"] = true
	rep, err := w.prebake(agent.PrebakeOptions{})
	w.check(t, rep, err, result{report.Fresh, nil, "1", "", nil})
	if w.restarts+w.ready != 0 {
		t.Errorf("%d restarts, systemd notified %d times", w.restarts, w.ready)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "run/env")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an environment was written for an app that does not start: %v", err)
	}
}

func TestPrebakeLeavesACandidate(t *testing.T) {
	w := newWorld(t)
	if _, err := w.prebake(agent.PrebakeOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(w.dir, "opt"), w.trust())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	rel, found, err := s.Current()
	if err != nil || !found {
		t.Fatalf("no current release: %v", err)
	}
	if !rel.HealthySince().IsZero() {
		t.Error("it counts as healthy")
	}
	if seen, ok := rel.SeenOn("stable"); !ok || seen.Pointer.Sequence().Number != w.sequence || !seen.Seen.Equal(w.now) {
		t.Errorf("seen on stable: %v, at %s", ok, seen.Seen)
	}
}

// An image that was made from a machine in service has no instance's state.
func TestPrebakeForgetsTheBuilder(t *testing.T) {
	w := newWorld(t)
	live(w)
	left := w.state()
	left.Hold = &state.Hold{Reason: "by hand", By: "root"}
	if err := left.Save(w.open("state")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.prebake(agent.PrebakeOptions{}); err != nil {
		t.Fatal(err)
	}
	left = w.state()
	if left.Instance != "" || left.Signalled != nil || left.Hold != nil || left.Sequence("stable").Number != w.sequence {
		t.Errorf("state %+v", left)
	}
	for _, name := range []string{"state/state.json", "state/reports/prebake.json"} {
		if data, err := os.ReadFile(filepath.Join(w.dir, name)); err != nil || strings.Contains(string(data), self) {
			t.Errorf("%s names the builder (%v): %s", name, err, data)
		}
	}
	w.signals, w.firmwareID = nil, w.id // the builder itself comes up again: that is a launch, too
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Current, nil, "2", "2", goOn})
}

// TestLaunchOfAPrebakedImage is the column "at launch" for a tree that has
// never passed a gate.
func TestLaunchOfAPrebakedImage(t *testing.T) {
	for _, tt := range []struct {
		name    string
		when    func(*world)
		want    result
		fetches int
	}{
		{"had it", func(*world) {}, result{report.Current, nil, "1", "1", goOn}, 0},
		{"newer target", func(w *world) { w.release("2") }, result{report.Fresh, nil, "2", "2", goOn}, 1},
		{"no channel", func(w *world) { w.pointerErr = noChannel }, result{report.Stale, nil, "1", "1", goOn}, 0},
		{"no channel, baked too long ago", func(w *world) { w.pointerErr = noChannel; w.age = 59 * time.Minute }, result{report.Failed, noChannel, "1", "", giveUp}, 0},
		{"no channel, baked is ill", func(w *world) { w.pointerErr = noChannel; w.ill["1"] = true }, result{report.Failed, noChannel, "1", "1", giveUp}, 0},
		{"newer target is ill", func(w *world) { w.release("2"); w.ill["2"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}, 1},
		{"went back", func(w *world) { w.sequence = 0; w.promote("1", time.Time{}) }, result{report.Failed, artifacts.ErrUntrusted, "1", "", giveUp}, 0},
		{"went back, no state", func(w *world) { w.remove("state/state.json"); w.sequence = 0; w.promote("1", time.Time{}) }, result{report.Failed, artifacts.ErrUntrusted, "1", "", giveUp}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := prebaked(t)
			tt.when(w)
			rep, err := w.boot()
			w.check(t, rep, err, tt.want)
			if w.fetches != tt.fetches {
				t.Errorf("%d artifacts were asked for, want %d", w.fetches, tt.fetches)
			}
		})
	}
}

func TestPrebakeAgain(t *testing.T) {
	w := prebaked(t)
	rep, err := w.prebake(agent.PrebakeOptions{})
	w.check(t, rep, err, result{report.Current, nil, "1", "", nil})
	w.pointerErr, w.now = noChannel, w.now.Add(w.age)
	rep, err = w.boot() // its age counts from the last prebake
	w.check(t, rep, err, result{report.Stale, nil, "1", "1", goOn})

	w = prebaked(t)
	w.release("2")
	rep, err = w.prebake(agent.PrebakeOptions{})
	w.check(t, rep, err, result{report.Fresh, nil, "2", "", nil})
	if n := w.releases(t); n != 1 {
		t.Errorf("%d releases in the image, want the one", n)
	}
}

func TestPrebakeChannel(t *testing.T) {
	w := newWorld(t)
	rep, err := w.prebake(agent.PrebakeOptions{Channel: "canary"})
	if !errors.Is(err, artifacts.ErrUntrusted) || rep.Channel != "canary" {
		t.Errorf("channel %s, error %v: the pointer of stable is not canary's", rep.Channel, err)
	}
	_, err = w.prebake(agent.PrebakeOptions{Channel: "beta"})
	if _, ok := errors.AsType[*config.Error](err); !ok {
		t.Errorf("error %v for a channel that is not allowed", err)
	}
	if w.current() != "" {
		t.Errorf("%s was baked in", w.current())
	}
}

// Where something is unavailable the prebake fails: there is no incomplete image.
func TestPrebakeFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(*world)
		want error
	}{
		{"no channel", func(w *world) { w.pointerErr = noChannel }, noChannel},
		{"expired", func(w *world) { w.promote("1", w.now) }, artifacts.ErrExpired},
		{"below the floor", func(w *world) { w.floor = 10 }, artifacts.ErrUntrusted},
		{"cut off", func(w *world) { w.contentErr = cutOff }, cutOff},
		{"altered", func(w *world) { w.contentErr = altered }, artifacts.ErrIntegrity},
		{"disk full", func(w *world) { w.contentErr = full }, store.ErrDisk},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.when(w)
			rep, err := w.prebake(agent.PrebakeOptions{})
			w.check(t, rep, err, result{report.Failed, tt.want, "", "", nil})
		})
	}
}
