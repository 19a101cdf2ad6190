package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/drain"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// A power cut in the middle of a drain leaves its record, and no file in the run
// directory: no door is open all the same.
func TestEveryDoorAfterAPowerCut(t *testing.T) {
	doors := map[string]func(*world) (report.Report, error){
		"boot":     (*world).boot,
		"sync":     (*world).sync,
		"rollback": (*world).rollback,
		"a boot that the metadata does not answer": func(w *world) (report.Report, error) {
			w.firmwareID, w.identityErr = self, instance.ErrUnreachable
			return w.boot()
		},
		"a sync at its turn": func(w *world) (report.Report, error) {
			return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				return a.Sync(ctx, agent.SyncOptions{Spread: true, Force: true})
			})
		},
	}
	for name, open := range doors {
		serving(t, func(t *testing.T, w *world) {
			w.release("2")
			w.spreadSeconds = 60
			w.release("3")
			w.beginDrain()
			w.reboot()
			w.restarts = 0
			if _, err := open(w); !errors.Is(err, state.ErrLeaving) || failure.CodeOf(err) != failure.Locked {
				t.Errorf("%s: %v, want ErrLeaving", name, err)
			}
			if w.running != "" || w.restarts > 0 || len(w.signals) > 0 {
				t.Errorf("%s: running %q after %d starts, signals %v", name, w.running, w.restarts, w.signals)
			}
		})
	}
}

// beginDrain leaves a drain that is not over.
func (w *world) beginDrain() {
	w.t.Helper()
	w.beatErr = lifecycle.ErrNoAction
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	_, _ = w.drainUntil(ctx, agent.DrainOptions{Notice: terminated})
	w.beatErr = nil
	if !w.record().Open() {
		w.t.Fatalf("the record is %+v", w.record())
	}
}

// A launch that was being drained when the power went is none afterwards: nothing is
// installed, and no action is completed but the drain's.
func TestALaunchThatWasBeingDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.silent = "content"
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _, _ = w.run(ctx, (*agent.Agent).Boot); close(done) }()
		synctest.Wait()
		w.inState, w.hook = "Terminating:Wait", "koboshi-terminating"
		w.beginDrain()
		cancel()
		<-done
		w.silent, w.targetErr = "", instance.ErrUnreachable
		w.reboot()
		if _, err := w.boot(); !errors.Is(err, state.ErrLeaving) || w.running != "" || w.current() != "" {
			t.Errorf("the boot: %v, running %q, current %q", err, w.running, w.current())
		}
		if len(w.signals) > 0 {
			t.Errorf("signals %v", w.signals)
		}
		if _, err := w.drain(agent.DrainOptions{}); err != nil || !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("the drain: %v, signals %v", err, w.signals)
		}
	})
}

// An instance that is terminated in whatever its launch, its sync or its rollback does
// ends that within two seconds. Nothing is started after it, no action is completed
// but the drain's, and what is on the disk can be told from what is not.
func TestTerminatedInTheMiddle(t *testing.T) {
	launch := func(w *world) func() (report.Report, error) { return w.boot }
	sync := func(w *world) func() (report.Report, error) { w.live(); return w.sync }
	back := func(w *world) func() (report.Report, error) {
		w.live()
		if _, err := w.sync(); err != nil {
			w.t.Fatal(err)
		}
		return w.rollback
	}
	tests := map[string]struct {
		run    func(*world) func() (report.Report, error)
		silent string
	}{
		"a launch that resolves":        {launch, "pointer"},
		"a launch that installs":        {launch, "content"},
		"a launch in its pre_start":     {launch, "pre_start 1"},
		"a launch at its gate":          {launch, "gate"},
		"a launch in its post_start":    {launch, "post_start 1"},
		"a sync that installs":          {sync, "content"},
		"a sync in the pre_stop of old": {sync, "pre_stop 1"},
		"a sync at its gate":            {sync, "gate"},
		"a rollback at its gate":        {back, "gate"},
		"a rollback in its pre_start":   {back, "pre_start 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.hooks = allHooks
				w.release("1")
				run := tt.run(w)
				w.signals, w.silent = nil, tt.silent
				done := make(chan error)
				var at time.Time
				go func() { _, err := run(); at = time.Now(); done <- err }()
				synctest.Wait()
				begun, started := time.Now(), w.restarts
				w.hook, w.inState, w.target = "koboshi-terminating", "Terminating:Wait", "Terminated"
				drained := make(chan error)
				go func() { _, err := w.drain(agent.DrainOptions{Notice: terminated}); drained <- err }()
				err := <-done
				if !errors.Is(err, state.ErrLeaving) || failure.CodeOf(err) != failure.Locked || at.Sub(begun) > 2*time.Second {
					t.Errorf("ended after %v with %v", at.Sub(begun), err)
				}
				w.gate.Lock()
				w.silent = ""
				w.gate.Unlock()
				if err := <-drained; err != nil {
					t.Errorf("the drain: %v", err)
				}
				if w.running != "" || w.restarts != started {
					t.Errorf("running %q, started %d times meanwhile", w.running, w.restarts-started)
				}
				if !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) {
					t.Errorf("signals %v, want the drain's alone", w.signals)
				}
				if left, err := os.ReadDir(filepath.Join(w.dir, "opt", ".staging")); err == nil && len(left) > 1 {
					t.Errorf("left in .staging: %v", left)
				}
			})
		})
	}
}

// live is a world that runs version 1, and whose channel has 2.
func (w *world) live() {
	w.t.Helper()
	if _, err := w.boot(); err != nil {
		w.t.Fatal(err)
	}
	w.release("2")
}

// A disk that takes nothing keeps no instance from being drained, and makes nothing be
// done twice.
func TestDrainWithoutADisk(t *testing.T) {
	for _, lost := range []string{"state", "run"} {
		watched(t, func(t *testing.T, s *sky) {
			dir := filepath.Join(s.dir, lost)
			if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			s.now(notice.Levels{Target: "Terminated"})
			s.after(time.Hour)
			s.expect("", "drained terminated")
			if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) || !slices.Equal(s.story, []string{"stop 1"}) {
				t.Errorf("without %s: signals %v, %v", lost, s.signals, s.story)
			}
		})
	}
}

// A hold keeps a release, not an instance; it is still there after an undo.
func TestDrainOfAHold(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		w.release("2")
		if _, err := w.sync(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.rollback(); err != nil || w.running != "1" {
			t.Fatalf("%v, running %q", err, w.running)
		}
		if _, err := w.drain(agent.DrainOptions{Notice: notice.Notice{Reason: notice.Operator, ID: "operator"}}); err != nil || w.running != "" {
			t.Errorf("the drain: %v, running %q", err, w.running)
		}
		if rep, err := w.run(t.Context(), (*agent.Agent).Undo); err != nil || w.running != "1" || rep.Verdict != report.Held {
			t.Errorf("the undo: %v, running %q, %s", err, w.running, rep.Verdict)
		}
	})
}

// A clock that is set by an hour in the middle changes no wait.
func TestTheClockIsSetDuringADrain(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		serving(t, func(t *testing.T, w *world) {
			w.beatErr = lifecycle.ErrNoAction
			w.later(20*time.Second, func() { w.now = w.now.Add(by) })
			w.later(time.Minute, func() { w.beatErr = nil })
			begun := time.Now()
			if _, err := w.drain(agent.DrainOptions{Notice: terminated}); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took < time.Minute || took > 2*time.Minute {
				t.Errorf("by %v: took %v", by, took)
			}
			if r := w.record(); r.Open() || !r.Told {
				t.Errorf("by %v: the record is %+v", by, r)
			}
		})
	}
}

// The record of another instance, of an image, and one that is damaged say nothing of
// this one.
func TestAForeignRecord(t *testing.T) {
	for name, text := range map[string]string{
		"another instance": `{"schema":1,"instance":"i-0fffffffffffffff0","reason":"terminated","notice":"terminated","noticed":"2026-11-21T10:00:00Z","boot":"one","until_ms":7,"step":"flush"}`,
		"damaged":          `{"schema":1,"instance":"` + self + `","step":"fl`,
		"empty":            "",
		"long":             strings.Repeat(" ", 1<<20),
	} {
		serving(t, func(t *testing.T, w *world) {
			if err := w.open("state").WriteFile(drain.File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w.reboot()
			if _, err := w.boot(); err != nil || w.running != "1" {
				t.Errorf("%s: the boot: %v, running %q", name, err, w.running)
			}
			if _, err := w.drain(agent.DrainOptions{Notice: terminated}); err != nil || w.running != "" || len(w.signals) != 1 {
				t.Errorf("%s: the drain: %v, running %q, signals %v", name, err, w.running, w.signals)
			}
		})
	}
}
