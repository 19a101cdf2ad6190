package agent_test

import (
	"errors"
	"slices"
	"testing"

	"koboshi/agent/health"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
)

// stacked is a launch whose stack waits for a signal.
func stacked(t *testing.T) *world {
	w := newWorld(t)
	w.stack = "web"
	return w
}

// wasTold asserts what the stack was sent, and whether the launch is over.
func (w *world) wasTold(t *testing.T, over bool, want ...string) {
	t.Helper()
	if !slices.Equal(w.told, want) {
		t.Errorf("the stack was sent %v, want %v", w.told, want)
	}
	if got := w.state().Signalled; (got != nil) != over || over && len(want) > 0 && got.Stack != want[len(want)-1] {
		t.Errorf("recorded %+v, want over: %t", got, over)
	}
}

// The stack is sent SUCCESS where an action is completed with CONTINUE, and FAILURE where
// it is with ABANDON; also where no action waits.
func TestStack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given func(w *world)
		want  result
		over  bool
		told  []string
	}{
		{"comes up", func(*world) {}, result{report.Fresh, nil, "1", "1", goOn}, true, []string{"SUCCESS"}},
		{"comes up in no group", (*world).leaveGroup, result{report.Fresh, nil, "1", "1", nil}, true, []string{"SUCCESS"}},
		{"fails", func(w *world) { w.ill["1"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}, true, []string{"FAILURE"}},
		{"fails in no group", func(w *world) { w.ill["1"] = true; w.leaveGroup() }, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}, true, []string{"FAILURE"}},
		{"fails, left to look at", func(w *world) { w.ill["1"] = true; w.wait = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}, false, nil},
		{"dies before CONTINUE", func(w *world) { w.onComplete = func() { w.running = "" } }, result{report.Failed, health.ErrUnhealthy, "1", "", giveUp}, true, []string{"FAILURE"}},
		{"dies before SUCCESS", func(w *world) { w.leaveGroup(); w.onStack = func() { w.running = "" } }, result{report.Failed, health.ErrUnhealthy, "1", "", nil}, true, []string{"FAILURE"}},
		{"is being terminated", func(w *world) { w.target = "Terminated" }, result{report.Failed, lifecycle.ErrNotCompleted, "", "", nil}, false, nil},
		{"the action is not completed", func(w *world) { w.completeErr = errors.New("throttled") }, result{report.Fresh, lifecycle.ErrNotCompleted, "1", "1", goOn}, false, nil},
		{"the action is in doubt", func(w *world) {
			w.leaveGroup()
			w.target, w.groupErr = "InService", func() error { return errors.New("throttled") }
		}, result{report.Fresh, lifecycle.ErrNotCompleted, "1", "1", nil}, false, nil},
		{"it fails and the action is in doubt", func(w *world) {
			w.ill["1"] = true
			w.leaveGroup()
			w.target, w.groupErr = "InService", func() error { return errors.New("throttled") }
		}, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}, false, []string{"FAILURE"}},
		{"the stack cannot be reached", func(w *world) { w.stackErr = func() error { return lifecycle.ErrDenied } }, result{report.Fresh, lifecycle.ErrNotSignalled, "1", "1", goOn}, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := stacked(t)
			tt.given(w)
			rep, err := w.boot()
			w.check(t, rep, err, tt.want)
			w.wasTold(t, tt.over, tt.told...)
		})
	}
}

// A failure is sent before ABANDON, after which the instance has seconds to live, and
// tried again after it; a success after CONTINUE.
func TestWhenTheStackIsSignalled(t *testing.T) {
	w := stacked(t)
	w.onStack = func() {
		if len(w.signals) != 1 {
			t.Errorf("SUCCESS is sent with the action completed by %v", w.signals)
		}
	}
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w = stacked(t)
	w.ill["1"] = true
	tries := 0
	w.stackErr = func() error {
		if tries++; tries == 1 && len(w.signals) == 0 {
			return errors.New("503")
		}
		return nil
	}
	rep, _ := w.boot()
	if tries != 2 || len(rep.Warnings) != 0 || rep.Stack != (report.Stack{Name: "web", Resource: "Group", Result: "FAILURE"}) {
		t.Errorf("%d tries, warnings %q, reported %+v", tries, rep.Warnings, rep.Stack)
	}
}

// A signal that could not be sent is due at the next boot; one that was sent, or that
// nothing waits for, is not.
func TestTheStackAtAReboot(t *testing.T) {
	w := stacked(t)
	w.stackErr = func() error { return errors.New("no route to host") }
	if _, err := w.boot(); !errors.Is(err, lifecycle.ErrNotSignalled) {
		t.Errorf("boot = %v", err)
	}
	w.stackErr = nil
	rep, err := w.boot()
	if err != nil || rep.Stack.Result != "SUCCESS" {
		t.Errorf("boot = %v, reported %+v", err, rep.Stack)
	}
	w.wasTold(t, true, "SUCCESS")
	if _, err := w.boot(); err != nil {
		t.Error(err)
	}
	if _, err := w.sync(); err != nil {
		t.Error(err)
	}
	w.wasTold(t, true, "SUCCESS")

	w = stacked(t)
	w.stackEnd = lifecycle.AlreadyOver // as when the group launches by itself
	rep, err = w.boot()
	if err != nil || rep.Stack != (report.Stack{}) || len(rep.Warnings) != 0 || w.state().Signalled == nil || w.state().Signalled.Stack != "" {
		t.Errorf("boot = %v, reported %+v, warnings %q", err, rep.Stack, rep.Warnings)
	}
}

// An instance signals when it comes into service, not when it goes into a warm pool.
func TestTheStackOfAWarmPool(t *testing.T) {
	w := stacked(t)
	w.target, w.inState = "Warmed:Stopped", "Warmed:Pending:Wait"
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.wasTold(t, true)
	w.target, w.inState = "InService", "Pending:Wait"
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.wasTold(t, true, "SUCCESS")
}
