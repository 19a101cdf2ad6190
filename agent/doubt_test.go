package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
)

var errDenied = errors.New("AccessDenied: not authorized")

// tagsOff is an instance whose group is not in its metadata.
func tagsOff(w *world) { w.tags, w.tagsErr = nil, instance.ErrTagsOff }

// deny makes looking up the group fail n times.
func (w *world) deny(times int) {
	w.groupErr = func() error {
		if times == 0 {
			return nil
		}
		times--
		return errDenied
	}
}

// hideTarget makes the metadata lack the target state n times.
func (w *world) hideTarget(times int) {
	w.target = ""
	w.onTarget = func() {
		if times == 0 {
			w.target = "InService"
		}
		times--
	}
}

// TestDoubt is a launch for which it is hard to find out whether a lifecycle
// action waits. Not knowing is never taken for no, nor recorded as done.
func TestDoubt(t *testing.T) {
	const always = 1 << 30
	unknown := lifecycle.ErrNotCompleted
	for _, tt := range []struct {
		name  string
		given func(*world)
		want  result
		done  bool // and recorded in the state
	}{
		{"the group is denied", func(w *world) { tagsOff(w); w.deny(always) }, result{report.Fresh, unknown, "1", "1", nil}, false},
		{"the group is denied at first", func(w *world) { tagsOff(w); w.deny(1) }, result{report.Fresh, nil, "1", "1", goOn}, true},
		{"the group is denied, and it is in none", func(w *world) { tagsOff(w); w.leaveGroup(); w.deny(always) }, result{report.Fresh, nil, "1", "1", nil}, true},
		{"no target state, a tag with the group", func(w *world) { w.target = "" }, result{report.Fresh, nil, "1", "1", goOn}, true},
		{"an unreadable target state, a tag with the group", func(w *world) { w.targetErr = instance.ErrMalformed }, result{report.Fresh, nil, "1", "1", goOn}, true},
		{"an unreadable target state", func(w *world) { tagsOff(w); w.target, w.targetErr = "", instance.ErrMalformed }, result{report.Fresh, nil, "1", "1", goOn}, true},
		{"no target state at first", func(w *world) { tagsOff(w); w.hideTarget(2) }, result{report.Fresh, nil, "1", "1", goOn}, true},

		{"ill, the group is denied", func(w *world) { w.ill["1"] = true; tagsOff(w); w.deny(always) }, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}, false},
		{"ill, the group is denied at first", func(w *world) { w.ill["1"] = true; tagsOff(w); w.deny(1) }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}, true},
		{"ill, no target state, a tag with the group", func(w *world) { w.ill["1"] = true; w.target = "" }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}, true},
		{"completing is denied", func(w *world) { w.completeErr = errDenied }, result{report.Fresh, unknown, "1", "1", goOn}, false},
		{"ill, completing is denied", func(w *world) { w.ill["1"] = true; w.completeErr = errDenied }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.given(w)
			rep, err := w.boot()
			w.check(t, rep, err, tt.want)
			if done := w.state().Signalled != nil; done != tt.done {
				t.Errorf("remembered as done: %v, want %v", done, tt.done)
			}
			if tt.done {
				return
			}
			w.signals, w.groupErr, w.completeErr, w.ill = nil, nil, nil, map[string]bool{}
			rep, err = w.boot()
			w.check(t, rep, err, result{report.Current, nil, "1", "1", goOn})
		})
	}
}

// Looking the group up may hang for ever. Units that are ordered after the boot
// do not wait for it, and the run ends in a lifecycle failure, not an interruption.
func TestAGroupThatIsNeverFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tagsOff(w)
		begun := time.Now()
		w.onGroup = func(ctx context.Context) {
			if time.Since(begun) > time.Minute && w.ready == 0 {
				t.Error("systemd waits for the group")
			}
			<-ctx.Done()
		}
		w.deny(1 << 30)
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, lifecycle.ErrNotCompleted, "1", "1", nil})
		if took := time.Since(begun); took > 18*time.Minute {
			t.Errorf("took %v with a deadline of 15m", took)
		}
		if failure.CodeOf(err) != failure.Lifecycle || w.state().Signalled != nil {
			t.Errorf("%v, remembered as %v", err, w.state().Signalled)
		}
	})
}

// The same for completing the action: the end of our own context is no
// interruption, and the error has its reason.
func TestAnActionThatIsNeverCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.throttled = time.Hour
		begun := time.Now()
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, lifecycle.ErrNotCompleted, "1", "1", nil})
		if failure.CodeOf(err) != failure.Lifecycle || !strings.Contains(err.Error(), "no success within 2m0s of the end of the launch") {
			t.Errorf("code %d: %v", failure.CodeOf(err), err)
		}
		if took := time.Since(begun); took != 17*time.Minute {
			t.Errorf("took %v, want the deadline and 2m", took)
		}
	})
}

func TestATerminatedInstanceIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.target, w.holdFor = "Terminated", time.Hour
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Failed, lifecycle.ErrNotCompleted, "", "", nil})
	if w.pointers+w.fetches+w.restarts+len(w.waits) != 0 || w.state().Signalled != nil {
		t.Errorf("%d pointers, %d artifacts, %d restarts, waits %q, remembered as %v", w.pointers, w.fetches, w.restarts, w.waits, w.state().Signalled)
	}
	if hint := failure.Explain(err).Hint; strings.Contains(hint, "the app runs") {
		t.Errorf("hint %q", hint)
	}
}

// An instance that is to be terminated by the time that its app is healthy does
// not go into service.
func TestTerminatedDuringTheLaunch(t *testing.T) {
	w := newWorld(t)
	w.onGate = func() { w.target = "Warmed:Terminated" }
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Fresh, lifecycle.ErrNotCompleted, "1", "1", nil})
}

// TestDeadAfterTheGate is an app that dies between its gate and CONTINUE.
func TestDeadAfterTheGate(t *testing.T) {
	die := func(w *world) func() { return func() { w.running = "" } }
	for _, tt := range []struct {
		name string
		when func(*world)
		want []lifecycle.Result
	}{
		{"while CONTINUE is held back", func(w *world) { w.spreadOver = time.Minute; w.onWait = die(w) }, giveUp},
		{"while completing is throttled", func(w *world) { w.throttled = 86 * time.Second; w.onComplete = die(w) }, giveUp},
		{"while completing is throttled beyond the deadline", func(w *world) {
			w.throttled = 16 * time.Minute
			w.onComplete = die(w)
			w.onWait = func() { w.throttled = 0 }
			w.holdFor = time.Minute
		}, giveUp},
		{"and is left to look at", func(w *world) { w.wait = true; w.onComplete = die(w) }, nil},
		{"and was the fallback", func(w *world) { baked(w); w.pointerErr = noChannel; w.onComplete = die(w) }, giveUp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				tt.when(w)
				rep, err := w.boot()
				w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "1", "", tt.want})
				if failure.CodeOf(err) != failure.Unhealthy || !strings.HasPrefix(err.Error(), "just before CONTINUE: ") {
					t.Errorf("code %d: %v", failure.CodeOf(err), err)
				}
			})
		})
	}
}

// TestCurrentMeansNow is a sync whose target is current already.
func TestCurrentMeansNow(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(*world)
		want result
	}{
		{"up", func(*world) {}, result{report.Current, nil, "1", "1", nil}},
		{"stopped", func(w *world) { w.running = "" }, result{report.Current, nil, "1", "1", nil}},
		{"ill", func(w *world) { w.ill["1"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}},
		{"stopped, no channel", func(w *world) { w.running = ""; w.pointerErr = noChannel }, result{report.Stale, noChannel, "1", "1", nil}},
		{"stopped, no channel, does not start", func(w *world) { w.running, w.broken["1"] = "", true; w.pointerErr = noChannel }, result{report.Failed, noChannel, "1", "", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			w.promote("1", time.Time{})
			tt.when(w)
			rep, err := w.sync()
			w.check(t, rep, err, tt.want)
			if up := rep.Release != nil && rep.Release.Healthy; up != (tt.want.verdict != report.Failed) {
				t.Errorf("healthy in the report: %v", up)
			}
		})
	}
}

// An app that dies while the target is looked up is started again: the check at
// the beginning is too old by then.
func TestAnAppThatDiesDuringASync(t *testing.T) {
	for _, tt := range []struct {
		name string
		when error
		want result
	}{
		{"had it", nil, result{report.Current, nil, "1", "1", nil}},
		{"no channel", noChannel, result{report.Stale, noChannel, "1", "1", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			w.promote("1", time.Time{})
			w.pointerErr = tt.when
			w.onPointer = func(int) { w.running, w.onPointer = "", nil }
			rep, err := w.sync()
			w.check(t, rep, err, tt.want)
		})
	}
}
