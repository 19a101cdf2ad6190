package agent_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
)

// looks is a look at the channel, as a timer has it made.
func (w *world) looks() (report.Report, error) {
	return w.run(w.t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Sync(ctx, agent.SyncOptions{IfNew: true, Spread: true})
	})
}

// following is a live machine that has followed its channel to release 2.
func following(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	live(w)
	rep, err := w.looks()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
	w.pointers, w.unchanged, w.restarts, w.notified = 0, 0, 0, nil
	return w
}

// rested asserts a look that found nothing to do. The last report stays.
func (w *world) rested(t *testing.T, version string) {
	t.Helper()
	last := w.report(t)
	rep, err := w.looks()
	if err != nil || rep.Verdict != report.Current || w.current() != version || w.running != version {
		t.Errorf("the look ended as %s (%v), %s runs", rep.Verdict, err, w.running)
	}
	if now := w.report(t); now.Order != last.Order {
		t.Errorf("it left report %d over %d", now.Order, last.Order)
	}
}

// onDisk is every file of the machine that survives a reboot, and when it was written.
func (w *world) onDisk(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"opt", "state"} {
		err := filepath.WalkDir(filepath.Join(w.dir, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				all.WriteString(name + " " + info.ModTime().String() + "\n")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func (w *world) lastLook(t *testing.T) state.Look {
	t.Helper()
	look, err := state.LoadLook(w.open("run"))
	if err != nil {
		t.Fatal(err)
	}
	return look
}

// A look that finds nothing new costs one conditional request, and writes nothing
// that survives a reboot but ten times in fallback.max_age when the channel was seen.
func TestIdleLook(t *testing.T) {
	w := following(t)
	before := w.onDisk(t)
	for range 3 {
		w.now = w.now.Add(40 * time.Minute)
		w.rested(t, "2")
	}
	if w.pointers != 3 || w.unchanged != 3 || w.restarts != 0 || len(w.notified) != 0 {
		t.Errorf("%d requests, %d of them unchanged, %d restarts, notified %d times", w.pointers, w.unchanged, w.restarts, len(w.notified))
	}
	if after := w.onDisk(t); after != before {
		t.Errorf("the disk was\n%s and is\n%s", before, after)
	}
	if look := w.lastLook(t); !look.At.Equal(w.now) || look.Verdict != report.Current || look.Code != 0 {
		t.Errorf("looked %+v", look)
	}
	w.now = w.now.Add(40 * time.Minute) // 160 minutes: more than a tenth of a day
	if _, err := w.looks(); err != nil || w.onDisk(t) == before {
		t.Errorf("when the channel was seen was not recorded (%v)", err)
	}
	before = w.onDisk(t)
	if _, err := w.looks(); err != nil || w.onDisk(t) != before || w.unchanged != 5 {
		t.Errorf("it was recorded twice (%v), %d unchanged", err, w.unchanged)
	}
}

// The same release, signed again, is read once.
func TestLookAtTheSameReleaseSignedAgain(t *testing.T) {
	w := following(t)
	w.promote("2", time.Time{})
	for range 3 {
		w.rested(t, "2")
	}
	if w.pointers != 3 || w.unchanged != 2 || w.state().Sequence("stable").Number != w.sequence {
		t.Errorf("%d requests, %d unchanged, sequence %d", w.pointers, w.unchanged, w.state().Sequence("stable").Number)
	}
}

// What is known saves bytes, and no check: keys, expiry and sequence count as ever.
func TestLookTrustsNothingItKnows(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given func(t *testing.T, w *world)
		want  result
	}{
		{"other keys are trusted now", func(t *testing.T, w *world) {
			key, err := artifacts.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			w.key = key
		}, result{report.Failed, artifacts.ErrUntrusted, "2", "2", nil}},
		{"it has expired since", func(t *testing.T, w *world) {
			w.promote("2", w.now.Add(time.Hour))
			if _, err := w.looks(); err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(2 * time.Hour)
		}, result{report.Stale, artifacts.ErrExpired, "2", "2", nil}},
		{"an earlier one is back", func(t *testing.T, w *world) {
			old := w.pointer
			w.promote("2", time.Time{})
			if _, err := w.looks(); err != nil {
				t.Fatal(err)
			}
			w.pointer = old
		}, result{report.Failed, artifacts.ErrUntrusted, "2", "2", nil}},
		{"its floor was raised", func(_ *testing.T, w *world) { w.floor = 100 }, result{report.Failed, artifacts.ErrUntrusted, "2", "2", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := following(t)
			tt.given(t, w)
			rep, err := w.looks()
			w.check(t, rep, err, tt.want)
		})
	}
}

// A look that finds something to do is a sync.
func TestLookThatFindsSomething(t *testing.T) {
	for _, tt := range []struct {
		name     string
		given    func(w *world)
		want     result
		pointers int
		restarts int
	}{
		{"another release", func(w *world) { w.release("3") }, result{report.Fresh, nil, "3", "3", nil}, 2, 1},
		{"the app is down", func(w *world) { w.running = "" }, result{report.Current, nil, "2", "2", nil}, 2, 1},
		{"another channel", func(w *world) { w.tags[config.TagChannel] = "canary"; w.promoteCanary("2") }, result{report.Current, nil, "2", "2", nil}, 2, 1},
		{"no channel", func(w *world) { w.pointerErr = noChannel }, result{report.Stale, noChannel, "2", "2", nil}, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := following(t)
			tt.given(w)
			rep, err := w.looks()
			w.check(t, rep, err, tt.want)
			if w.pointers != tt.pointers || w.restarts != tt.restarts {
				t.Errorf("%d requests, %d restarts, want %d and %d", w.pointers, w.restarts, tt.pointers, tt.restarts)
			}
			if look := w.lastLook(t); look.Verdict != tt.want.verdict || !look.At.Equal(w.now) {
				t.Errorf("looked %+v", look)
			}
		})
	}
}

// A machine that is held asks for nothing.
func TestLookOfAMachineThatIsHeld(t *testing.T) {
	w := following(t)
	w.release("3")
	w.tags[config.TagHold] = "x"
	rep, err := w.looks()
	if err != nil || rep.Verdict != report.Held || rep.Reason != "x" || w.pointers != 0 || w.running != "2" {
		t.Errorf("verdict %s (%v), reason %q, %d requests, %s runs", rep.Verdict, err, rep.Reason, w.pointers, w.running)
	}
	if look := w.lastLook(t); look.Verdict != report.Held {
		t.Errorf("looked %+v", look)
	}
}

// A release that failed here is not tried every five minutes: the app would be
// restarted each time. An operator may, and the next promotion counts.
func TestLookDoesNotRepeatAFailure(t *testing.T) {
	w := following(t)
	w.ill["3"] = true
	w.release("3")
	rep, err := w.looks()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "2", "2", nil})
	for range 2 {
		w.restarts, w.fetches, w.notified = 0, 0, nil
		rep, err = w.looks()
		w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "2", "2", nil})
		if w.restarts != 0 || w.fetches != 0 || len(w.notified) != 0 || !strings.Contains(err.Error(), "3 failed here at ") {
			t.Errorf("%d restarts, %d fetches, %v", w.restarts, w.fetches, err)
		}
	}
	if look := w.lastLook(t); look.Code != 20 {
		t.Errorf("looked %+v", look)
	}
	if _, err := w.sync(); err == nil || w.restarts == 0 {
		t.Errorf("an operator's sync did not try it: %v", err)
	}
	w.ill["3"] = false
	w.promote("3", time.Time{})
	rep, err = w.looks()
	w.check(t, rep, err, result{report.Current, nil, "3", "3", nil})
	if w.state().Rejected != nil {
		t.Errorf("still rejected: %+v", w.state().Rejected)
	}
}

// Where the look cannot be recorded, nothing else fails.
func TestLookWithoutARunDirectoryToWrite(t *testing.T) {
	w := following(t)
	if err := os.Remove(filepath.Join(w.dir, "run", state.LookFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(w.dir, "run", state.LookFile), 0o755); err != nil {
		t.Fatal(err)
	}
	rep, err := w.looks()
	if err != nil || len(rep.Warnings) != 1 {
		t.Errorf("error %v, warnings %q", err, rep.Warnings)
	}
}
