package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

func (w *world) syncWith(o agent.SyncOptions) (report.Report, error) {
	return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) { return a.Sync(ctx, o) })
}

func (w *world) rollback() (report.Report, error) {
	return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Rollback(ctx, agent.RollbackOptions{Hold: state.Hold{Reason: "2 is slow", By: "ops"}})
	})
}

func (w *world) rollbackTo(version string) (report.Report, error) {
	return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Rollback(ctx, agent.RollbackOptions{Hold: state.Hold{Reason: "tests", By: "ops"}, Version: version})
	})
}

func (w *world) hold(hold *state.Hold) error {
	a := w.agent()
	return a.Hold(w.t.Context(), hold)
}

// twice is a live machine on which 1 and then 2 were healthy.
func twice(w *world) {
	live(w)
	_, _ = w.sync()
}

func TestRollback(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(*world)
		want result
		held bool
	}{
		{"to what served before", func(*world) {}, result{report.Held, nil, "1", "1", nil}, true},
		{"which was altered", func(w *world) { w.alter("1") }, result{report.Held, nil, "1", "1", nil}, true},
		{"which was altered and cannot be had", func(w *world) { w.alter("1"); w.contentErr = cutOff }, result{report.Stale, cutOff, "2", "2", nil}, false},
		{"which is ill now", func(w *world) { w.ill["1"] = true }, result{report.Failed, health.ErrUnhealthy, "2", "2", nil}, false},
		{"of which there is none", func(w *world) { w.remove("opt/previous") }, result{report.Failed, store.ErrNoPrevious, "2", "2", nil}, false},
		{"without a channel", func(w *world) { w.pointerErr = noChannel }, result{report.Held, nil, "1", "1", nil}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			twice(w)
			tt.when(w)
			rep, err := w.rollback()
			w.check(t, rep, err, tt.want)
			w.contentErr, w.pointerErr, w.ill = nil, nil, map[string]bool{}
			again, err := w.sync()
			if held := again.Verdict == report.Held; err != nil || held != tt.held {
				t.Errorf("the next sync ends as %q (%v), want held %v", again.Verdict, err, tt.held)
			}
		})
	}
}

// A second rollback does not return to the release that was left, but goes back
// one more; a hold that is set in between does not change that.
func TestRollbackTwice(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.release("3")
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	rep, err := w.rollback()
	w.check(t, rep, err, result{report.Held, nil, "2", "2", nil})
	if err := w.hold(&state.Hold{Reason: "looking"}); err != nil {
		t.Fatal(err)
	}
	rep, err = w.rollback()
	w.check(t, rep, err, result{report.Held, nil, "1", "1", nil})
	rep, err = w.rollback()
	if !errors.Is(err, store.ErrNoPrevious) || !strings.Contains(err.Error(), "rolled back from since: 2, 3") {
		t.Errorf("a third one: %v", err)
	}
	w.check(t, rep, err, result{report.Failed, store.ErrNoPrevious, "1", "1", nil})

	// A step forward is reported as one, and a machine that follows its channel again
	// has no release that it left.
	rep, err = w.rollbackTo("3")
	w.check(t, rep, err, result{report.Held, nil, "3", "3", nil})
	if err := w.hold(nil); err != nil {
		t.Fatal(err)
	}
	rep, err = w.rollback()
	w.check(t, rep, err, result{report.Held, nil, "1", "1", nil})
}

func TestRollbackToAVersion(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.publish("7")
	rep, err := w.rollbackTo("7") // which is not installed
	w.check(t, rep, err, result{report.Held, nil, "7", "7", nil})
	w.pointerErr = noChannel
	rep, err = w.rollbackTo("1") // which is
	w.check(t, rep, err, result{report.Held, nil, "1", "1", nil})
	if rep, err = w.rollbackTo("1"); !errors.Is(err, failure.ErrUsage) {
		t.Errorf("to the current one: %+v, %v", rep.Verdict, err)
	}
}

func TestRollbackRepairsFirst(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.alter("1")
	if _, err := w.rollback(); err != nil {
		t.Fatal(err)
	}
	if got := w.app(t); got != "#!/bin/sh\necho 1\n" {
		t.Errorf("the running tree has %q", got)
	}
}

func TestHoldAndUnhold(t *testing.T) {
	w := newWorld(t)
	if err := w.hold(&state.Hold{Reason: "x"}); !errors.Is(err, state.ErrNotLaunched) {
		t.Errorf("before any boot: %v", err)
	}
	live(w)
	if err := w.hold(&state.Hold{Reason: "incident", Until: w.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Held, nil, "1", "1", nil})
	if !slices.Contains(rep.Warnings, "held: incident") {
		t.Errorf("warnings %q do not say why it is held", rep.Warnings)
	}
	w.now = w.now.Add(2 * time.Hour)
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})

	if err := w.hold(&state.Hold{Reason: "for good"}); err != nil {
		t.Fatal(err)
	}
	w.release("3")
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Held, nil, "2", "2", nil})
	if err := w.hold(nil); err != nil {
		t.Fatal(err)
	}
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "3", "3", nil})
}

func TestSyncToAVersion(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.publish("7")
	rep, err := w.syncWith(agent.SyncOptions{Version: "7"})
	w.check(t, rep, err, result{report.Fresh, nil, "7", "7", nil})

	w.pointerErr = noChannel // is not asked
	rep, err = w.syncWith(agent.SyncOptions{Version: "1"})
	w.check(t, rep, err, result{report.Current, nil, "1", "1", nil})

	w.pointerErr = nil
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Current, nil, "2", "2", nil})
}

func TestSyncToAVersionBeatsAHold(t *testing.T) {
	w := newWorld(t)
	twice(w)
	if err := w.hold(&state.Hold{Reason: "stay"}); err != nil {
		t.Fatal(err)
	}
	rep, err := w.syncWith(agent.SyncOptions{Version: "1"})
	w.check(t, rep, err, result{report.Current, nil, "1", "1", nil})
}

func TestSyncToAVersionOfAnotherApp(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.manifests["9"] = w.manifests["1"] // signed, but for version 1
	rep, err := w.syncWith(agent.SyncOptions{Version: "9"})
	w.check(t, rep, err, result{report.Failed, artifacts.ErrUntrusted, "1", "1", nil})
}

func TestForceRepairs(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.alter("2")
	w.fetches, w.restarts = 0, 0
	rep, err := w.syncWith(agent.SyncOptions{Force: true})
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
	if got := w.app(t); got != "#!/bin/sh\necho 2\n" || w.fetches != 1 || w.restarts != 1 {
		t.Errorf("the tree holds %q after %d downloads and %d restarts", got, w.fetches, w.restarts)
	}
	w.fetches, w.restarts = 0, 0
	rep, err = w.syncWith(agent.SyncOptions{Force: true})
	w.check(t, rep, err, result{report.Current, nil, "2", "2", nil})
	if w.fetches != 0 || w.restarts != 1 {
		t.Errorf("%d downloads and %d restarts for a tree that is whole", w.fetches, w.restarts)
	}
}

func TestInterruptedSyncPutsBack(t *testing.T) {
	w := newWorld(t)
	live(w)
	ctx, cancel := context.WithCancel(t.Context())
	w.onGate = func() {
		if w.running == "2" {
			cancel()
		}
	}
	rep, err := w.run(ctx, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Sync(ctx, agent.SyncOptions{})
	})
	w.check(t, rep, err, result{report.Failed, failure.ErrInterrupted, "1", "1", nil})
	if !rep.Release.Healthy || len(rep.Warnings) > 0 {
		t.Errorf("what was put back: %+v, warnings %q", rep.Release, rep.Warnings)
	}
}

func TestHoldWithoutAnythingToKeep(t *testing.T) {
	w := newWorld(t)
	w.tags["koboshi:hold"] = "no release is running here yet"
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "1", "1", nil})
}

func TestRebootPrunes(t *testing.T) {
	w := newWorld(t)
	live(w)
	for _, version := range []string{"2", "3", "4", "5"} {
		w.release(version)
		if _, err := w.boot(); err != nil {
			t.Fatal(err)
		}
	}
	if kept := w.releases(t); kept != 3 {
		t.Errorf("%d releases are kept, want 3", kept)
	}
}

func TestPlan(t *testing.T) {
	w := newWorld(t)
	live(w)
	plan := func(o agent.SyncOptions) agent.Plan {
		t.Helper()
		a := w.agent()
		p, err := a.Plan(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := plan(agent.SyncOptions{})
	if p.Release.Version != "1" || p.Target.Version != "2" || p.Fetch == 0 || len(p.Files.Altered) != 1 || len(p.Files.Added)+len(p.Files.Removed) != 0 {
		t.Errorf("plan %+v", p)
	}
	if w.current() != "1" || w.fetches != 1 {
		t.Errorf("planning has changed the machine: current %q, %d downloads", w.current(), w.fetches)
	}
	if p := plan(agent.SyncOptions{Version: "1"}); p.Fetch != 0 || !p.Files.Clean() {
		t.Errorf("plan for what serves: %+v", p)
	}
	w.tags["koboshi:hold"] = "why"
	if p := plan(agent.SyncOptions{}); p.Held != "why" {
		t.Errorf("plan on a held machine: %+v", p)
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.ill["3"] = true
	w.release("3")
	_, _ = w.sync()
	runs, err := report.LoadHistory(w.open("state"))
	if err != nil || len(runs) != 3 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	last := runs[0]
	if last.Command != "sync" || last.Verdict != report.Failed || last.Version != "2" || last.Target != "3" || last.Error == nil || runs[2].Command != "boot" {
		t.Errorf("history %+v", runs)
	}
}

// alter edits the app of an installed version in place.
func (w *world) alter(version string) {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "opt/releases", version+"-*", "tree", "web"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("the tree of %s: %v, %v", version, found, err)
	}
	if err := os.WriteFile(found[0], []byte("evil"), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) app(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "opt/current/web"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
