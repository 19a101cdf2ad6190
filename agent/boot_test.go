package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
)

func TestBootWithTheTargetInstalledFetchesNothing(t *testing.T) {
	w := newWorld(t)
	baked(w)
	w.promote("1", time.Time{})
	w.fetches, w.manifested, w.pointers = 0, 0, 0
	if rep, err := w.boot(); err != nil || rep.Verdict != report.Current {
		t.Fatalf("verdict %q, error %v", rep.Verdict, err)
	}
	if w.fetches != 0 || w.manifested != 0 || w.pointers != 2 {
		t.Errorf("%d artifacts, %d manifests, %d pointers were asked for, want the pointer twice", w.fetches, w.manifested, w.pointers)
	}
}

func TestBootRepairsARelease(t *testing.T) {
	w := newWorld(t)
	baked(w)
	w.promote("1", time.Time{})
	tree, err := os.Readlink(filepath.Join(w.dir, "opt/current"))
	if err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join("opt", tree, "../meta/manifest"), "{}")
	w.fetches, w.manifested = 0, 0
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Fresh, nil, "1", "1", goOn})
	if w.fetches != 1 || w.manifested != 1 {
		t.Errorf("%d artifacts and %d manifests were asked for, want one of each", w.fetches, w.manifested)
	}
}

// A launch looks up its group while the artifact is fetched: here neither ends
// before the other has begun.
func TestTheActionIsLookedForWhileTheReleaseIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		coming := make(chan struct{})
		w.onFetch = func() { close(coming) }
		w.tags = nil // which have the group
		w.onGroup = func(ctx context.Context) {
			select {
			case <-coming:
			case <-ctx.Done():
			}
		}
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, nil, "1", "1", goOn})
	})
}

func TestCrashBeforeTheSignalIsStillALaunch(t *testing.T) {
	w := newWorld(t)
	w.completeErr = errors.New("the process died here")
	_, _ = w.boot()
	w.completeErr, w.signals = nil, nil
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Current, nil, "1", "1", goOn})
}

func TestRebootStartsTheAppBeforeTheNetwork(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.firmwareID, w.restarts, w.pointers = w.id, 0, 0
	w.promote("1", time.Time{})
	w.onPointer = func(int) {
		if w.restarts != 1 || w.ready != 1 {
			t.Errorf("at the first look at the channel the app was started %d times, systemd notified %d times", w.restarts, w.ready-1)
		}
	}
	w.ready = 0
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	if w.restarts != 1 {
		t.Errorf("the app was started %d times, want once", w.restarts)
	}
}

func TestSyncLeavesACurrentAppAlone(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.promote("1", time.Time{})
	w.restarts, w.fetches = 0, 0
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	if w.restarts+w.fetches != 0 {
		t.Errorf("%d restarts and %d artifacts for a release that runs already", w.restarts, w.fetches)
	}
}

func TestSyncStartsAnAppThatSomebodyHasStopped(t *testing.T) {
	w := newWorld(t)
	live(w)
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.running, w.restarts = "", 0
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Current, nil, "2", "2", nil})
	if w.restarts != 1 || !strings.Contains(strings.Join(rep.Warnings, "\n"), "web.service is inactive (dead)") {
		t.Errorf("%d restarts, warnings %q", w.restarts, rep.Warnings)
	}
	w.running, w.tags[config.TagHold] = "", "somebody looks at it"
	if rep, err = w.sync(); err != nil || rep.Verdict != report.Held || w.running != "" {
		t.Errorf("a machine that is held: %v, %v, %q runs", rep.Verdict, err, w.running)
	}
}

func TestSyncIsRefusedWhileAnotherRunHasTheLock(t *testing.T) {
	w := newWorld(t)
	live(w)
	unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
	if err != nil {
		t.Fatal(err)
	}
	before := w.report(t)
	if _, err := w.sync(); !errors.Is(err, state.ErrLocked) {
		t.Errorf("error %v, want ErrLocked", err)
	}
	if after := w.report(t); after.Started != before.Started {
		t.Error("the report of the run that has the lock was overwritten")
	}
	unlock()
	if _, err := w.sync(); err != nil {
		t.Errorf("after the lock was given up: %v", err)
	}
}

func TestBootWaitsForTheLock(t *testing.T) {
	w := newWorld(t)
	unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(150*time.Millisecond, unlock)
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Fresh, nil, "1", "1", goOn})
}

// A launch that another boot has ended in the meantime is not ended again.
func TestTwoBootsOfOneLaunch(t *testing.T) {
	w := newWorld(t)
	w.onTags = func() {
		w.onTags = nil
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, nil, "1", "1", goOn})
	}
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Current, nil, "1", "1", goOn})
}

func TestDeadlineAbandons(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.onGate = func() { cancel(failure.ErrDeadline) }
	rep, err := w.run(ctx, (*agent.Agent).Boot)
	w.check(t, rep, err, result{report.Failed, failure.ErrDeadline, "1", "1", giveUp})
}

func TestInterruptionCompletesNothing(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.onGate = cancel
	rep, err := w.run(ctx, (*agent.Agent).Boot)
	w.check(t, rep, err, result{report.Failed, failure.ErrInterrupted, "1", "1", nil})

	w.onGate = nil
	rep, err = w.boot()
	w.check(t, rep, err, result{report.Current, nil, "1", "1", goOn})
}

func TestPruneComesAfterTheSignal(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"2", "3", "4", "5"} {
		if _, err := w.sync(); err != nil {
			t.Fatal(err)
		}
		w.release(version)
	}
	w.id = "i-0aaaaaaaaaaaaaaaa" // an AMI made from that machine
	kept := 0
	w.signalled = func() { kept = w.releases(t) }
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	if after := w.releases(t); kept != 4 || after != 3 {
		t.Errorf("%d releases at the signal and %d after, want 4 and 3", kept, after)
	}
}

func TestReportIsWhole(t *testing.T) {
	w := newWorld(t)
	w.heartbeats = true
	_, _ = w.boot()
	w.release("2")
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	r := w.report(t)
	if r.Command != "sync" || r.Channel != "stable" || r.Release.Version != "2" || r.Previous.Version != "1" || r.Target.Sequence != 2 ||
		r.Instance != (report.Instance{ID: self, Region: "eu-central-1", AZ: "eu-central-1a", Group: "web"}) {
		t.Errorf("report %+v", r)
	}
	var names []string
	for _, s := range r.Steps {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "discover configure resolve install activate gate recheck prune" {
		t.Errorf("steps %s", got)
	}
}

func TestBootReportsTheHook(t *testing.T) {
	w := newWorld(t)
	w.heartbeats = true
	_, _ = w.boot()
	if got, want := w.report(t).Lifecycle, (report.Lifecycle{Hook: "koboshi-launching", Result: "CONTINUE", Heartbeats: 1}); got != want {
		t.Errorf("lifecycle %+v, want %+v", got, want)
	}
}

func TestSequencesAreDurable(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(*world)
	}{
		{"an older one", func(w *world) { w.sequence = 0; w.promote("1", time.Time{}) }},
		{"the same with other content", func(w *world) { w.sequence--; w.promote("1", time.Time{}) }},
		{"an older one and a torn state file", func(w *world) { w.write("state/state.json", `{"inst`); w.sequence = 0; w.promote("1", time.Time{}) }},
		{"an older one and no state file", func(w *world) { w.remove("state/state.json"); w.sequence = 0; w.promote("1", time.Time{}) }},
		{"an older one on another instance", func(w *world) { w.id = "i-0bbbbbbbbbbbbbbbb"; w.sequence = 0; w.promote("1", time.Time{}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			if _, err := w.sync(); err != nil {
				t.Fatal(err)
			}
			tt.then(w)
			if _, err := w.sync(); !errors.Is(err, artifacts.ErrUntrusted) {
				t.Errorf("error %v, want ErrUntrusted", err)
			}
		})
	}
}

func TestSequenceOfAFailedReleaseCounts(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.contentErr = cutOff
	_, _ = w.sync()
	w.contentErr, w.sequence = nil, 0
	w.promote("1", time.Time{})
	if _, err := w.sync(); !errors.Is(err, artifacts.ErrUntrusted) {
		t.Errorf("error %v, want ErrUntrusted: the pointer to version 2 was verified before", err)
	}
}

func TestHoldOfAnotherInstanceDoesNotCount(t *testing.T) {
	w := newWorld(t)
	live(w)
	left := state.State{Instance: "i-0cccccccccccccccc", Hold: &state.Hold{Reason: "left in the AMI", By: "root"}}
	if err := left.Save(w.open("state")); err != nil {
		t.Fatal(err)
	}
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
}

func TestHostileTagsChangeNothing(t *testing.T) {
	for _, channel := range []string{"beta", "../stable", "s3://evil", strings.Repeat("a", 300), ""} {
		w := newWorld(t)
		w.tags["koboshi:channel"] = channel
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, nil, "1", "1", goOn})
		if len(rep.Warnings) == 0 {
			t.Errorf("no warning about channel %q", channel)
		}
	}
}

func TestCurrentThatLeadsNowhere(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.remove("opt/current")
	if err := os.Symlink("releases/gone", filepath.Join(w.dir, "opt/current")); err != nil {
		t.Fatal(err)
	}
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
}

func TestRollbackThatFailsToo(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.ill["1"], w.ill["2"] = true, true
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "1", "1", nil})
	if !strings.Contains(strings.Join(rep.Warnings, "\n"), "put back but is not healthy") {
		t.Errorf("warnings %q", rep.Warnings)
	}
}

func TestAppLearnsWhereItRuns(t *testing.T) {
	w := newWorld(t)
	_, _ = w.boot()
	env, err := os.ReadFile(filepath.Join(w.dir, "run/env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"KOBOSHI_VERSION=1", "KOBOSHI_INSTANCE_ID=" + self, "KOBOSHI_AZ=eu-central-1a", "KOBOSHI_REGION=eu-central-1"} {
		if !strings.Contains(string(env), line+"\n") {
			t.Errorf("no %s in\n%s", line, env)
		}
	}
}

func (w *world) report(t *testing.T) report.Report {
	t.Helper()
	r, err := report.Newest(w.open("state"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) releases(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "opt/releases"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}

// Refused credentials are asked for again and again only while a lifecycle action
// may be waiting.
func TestOnlyALaunchPersists(t *testing.T) {
	w := newWorld(t)
	live(w)
	if w.persists != 1 {
		t.Errorf("a launch persists %d times", w.persists)
	}
	_, _ = w.sync()
	w.firmwareID = w.id
	_, _ = w.boot()
	if w.persists != 1 {
		t.Error("a live machine persists")
	}
}

// A channel that does not answer after the gate delays CONTINUE no longer than
// fallback.after.
func TestARecheckIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.onPointer = func(n int) {
			if n == 2 {
				w.silent = "pointer"
			}
		}
		begun := time.Now()
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, nil, "1", "1", goOn})
		if took := time.Since(begun); took != 45*time.Second {
			t.Errorf("CONTINUE after %s", took)
		}
	})
}
