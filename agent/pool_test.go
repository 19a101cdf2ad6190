package agent_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
)

// pooled is a world whose instance is in a warm pool, in fake time.
func pooled(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.target, w.inState = "Warmed:Stopped", "Warmed:Pending:Wait"
		rep, err := w.boot()
		if err != nil || rep.Verdict != report.Fresh {
			t.Fatalf("%s, %v", rep.Verdict, err)
		}
		if w.running != "" || w.current() != "1" || len(w.story) > 0 {
			t.Fatalf("running %q, current %q, story %v: want it installed and nothing started", w.running, w.current(), w.story)
		}
		if !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) || !w.state().Signalled.Pooled {
			t.Fatalf("signals %v, state %+v", w.signals, w.state().Signalled)
		}
		w.signals = nil
		f(t, w)
	})
}

// Out of the pool an instance is launched again: with the channel's release, through
// the gate, and with CONTINUE.
func TestOutOfAWarmPool(t *testing.T) {
	pooled(t, func(t *testing.T, w *world) {
		w.release("2")
		w.reboot()
		w.target, w.inState = "InService", "Pending:Wait"
		rep, err := w.boot()
		if err != nil || rep.Verdict != report.Fresh || w.running != "2" {
			t.Errorf("%s, %v, running %q", rep.Verdict, err, w.running)
		}
		if !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) || w.state().Signalled.Pooled {
			t.Errorf("signals %v, state %+v", w.signals, w.state().Signalled)
		}
		w.signals = nil
		w.reboot() // and then as any other
		if rep, err := w.boot(); err != nil || rep.Verdict != report.Current || w.running != "2" || len(w.signals) > 0 {
			t.Errorf("the next boot: %s, %v, running %q, signals %v", rep.Verdict, err, w.running, w.signals)
		}
	})
}

// What does not become healthy on the way out is abandoned, as at any launch.
func TestOutOfAWarmPoolAndIll(t *testing.T) {
	pooled(t, func(t *testing.T, w *world) {
		w.reboot()
		w.target, w.inState, w.ill["1"] = "InService", "Pending:Wait", true
		if _, err := w.boot(); err == nil || !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Abandon}) {
			t.Errorf("%v, signals %v", err, w.signals)
		}
	})
}

// A machine that stays in the pool starts nothing, whatever is run; what it has installed
// follows the channel.
func TestInAWarmPool(t *testing.T) {
	pooled(t, func(t *testing.T, w *world) {
		w.target, w.inState = "Warmed:Running", "Warmed:Running"
		for _, run := range []func() (report.Report, error){w.boot, w.sync} {
			w.release(map[string]string{"1": "2", "2": "3"}[w.current()])
			if rep, err := run(); err != nil || rep.Verdict != report.Fresh || w.running != "" || len(w.signals) > 0 {
				t.Errorf("%s: %s, %v, running %q, signals %v", rep.Command, rep.Verdict, err, w.running, w.signals)
			}
		}
		if w.current() != "3" {
			t.Errorf("%s is installed, want 3", w.current())
		}
		if _, err := w.rollback(); failure.CodeOf(err) != failure.Usage || w.running != "" {
			t.Errorf("rollback: %v, running %q", err, w.running)
		}
		w.targetErr = instance.ErrUnreachable // then Auto Scaling is asked
		if _, err := w.boot(); err != nil || w.running != "" {
			t.Errorf("without metadata: %v, running %q", err, w.running)
		}
	})
}

// An instance that is back from service is drained, and launched again on its next way
// out, here without a boot.
func TestBackIntoAWarmPool(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.inState = "Warmed:Pending:Wait"
		s.now(notice.Levels{Target: "Warmed:Running"})
		s.after(time.Minute)
		s.expect("", "drained warm-pool")
		if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) || !s.state().Signalled.Pooled {
			t.Errorf("signals %v, state %+v", s.signals, s.state().Signalled)
		}
		s.signals = nil
		s.target, s.inState, s.hook = "InService", "Pending:Wait", ""
		s.now(notice.Levels{Target: "InService"})
		s.after(time.Minute)
		if s.relaunchs != 1 {
			t.Fatalf("launched again %d times; warnings %q", s.relaunchs, s.warnings)
		}
		if rep, err := s.boot(); err != nil || s.running != "1" || rep.Verdict != report.Current {
			t.Errorf("%s, %v, running %q", rep.Verdict, err, s.running)
		}
		if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("signals %v", s.signals)
		}
		s.hook = "koboshi-terminating"
		s.now(notice.Levels{Target: "Warmed:Running"}) // and back, a second time
		s.inState = "Warmed:Pending:Wait"
		s.after(time.Minute)
		s.expect("", "drained warm-pool", "drained warm-pool")
	})
}

// A source that is away keeps no instance out of the pool that has something to fall
// back to: an AMI's release.
func TestIntoAWarmPoolWithoutASource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.target, w.inState = "Warmed:Stopped", "Warmed:Pending:Wait"
		w.pointerErr = noChannel
		if _, err := w.boot(); err == nil || !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Abandon}) {
			t.Errorf("with nothing: %v, signals %v", err, w.signals)
		}
	})
}
