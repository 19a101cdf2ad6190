package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestCompleteFindsHowTheActionEnded(t *testing.T) {
	tests := []struct {
		name     string
		set      func(*service)
		want     Outcome
		complete int // calls
		hooks    int // DescribeHooks calls
	}{
		{"waiting", func(*service) {}, Outcome{End: Completed}, 1, 0},
		{"wait begins after 5 s", func(s *service) {
			s.waiting = func(at time.Duration) bool { return at >= 5*time.Second }
			s.state = func(at time.Duration) string {
				if at < 4*time.Second { // Describe may be ahead of Complete
					return "Pending"
				}
				return "Pending:Wait"
			}
		}, Outcome{End: Completed}, 3, 1},
		{"warm pool", func(s *service) {
			s.waiting = func(at time.Duration) bool { return at >= 2*time.Second }
			s.state = always("Warmed:Pending:Wait")
		}, Outcome{End: Completed}, 2, 1},
		{"reply lost", func(s *service) { s.replyLost = true }, Outcome{AlreadyOver, "InService"}, 1, 0},
		{"hook timed out meanwhile", func(s *service) {
			s.waiting = always(false)
			s.state = func(at time.Duration) string {
				if at < time.Second {
					return "Pending:Wait"
				}
				return "Pending:Proceed"
			}
		}, Outcome{AlreadyOver, "Pending:Proceed"}, 2, 1},
		{"no such hook", func(s *service) {
			s.waiting, s.hooks = always(false), s.hooks[:1]
		}, Outcome{NoHook, "Pending:Wait"}, 1, 1},
		{"no group", func(s *service) {
			s.waiting, s.state = always(false), always("")
		}, Outcome{AlreadyOver, ""}, 1, 0},
		{"terminated while launching", func(s *service) {
			s.waiting, s.state = always(false), always("Terminating:Wait")
		}, Outcome{AlreadyOver, "Terminating:Wait"}, 1, 1},
		{"terminate hook not begun", func(s *service) {
			s.hooks[1].LifecycleTransition = new(terminating)
			s.waiting = func(at time.Duration) bool { return at >= time.Second }
			s.state = always("Terminating")
		}, Outcome{End: Completed}, 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(time.Hour)
				tt.set(s)
				got, err := s.client().Complete(within(t, time.Minute), ours, Abandon, nil)
				if err != nil || got != tt.want {
					t.Errorf("Complete = %+v, %v, want %+v", got, err, tt.want)
				}
				if n := s.count("Complete"); n != tt.complete {
					t.Errorf("Complete was called %d times, want %d", n, tt.complete)
				}
				if n := s.count("DescribeHooks"); n != tt.hooks {
					t.Errorf("DescribeLifecycleHooks was called %d times, want %d", n, tt.hooks)
				}
				if (got.End == Completed || s.replyLost) != (s.result == string(Abandon)) {
					t.Errorf("%s, but the action was completed with %q", got.End, s.result)
				}
			})
		})
	}
}

func TestCompleteGivesUpWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(time.Hour)
		s.waiting = always(false)
		got, err := s.client().Complete(within(t, 5*time.Minute), ours, Continue, nil)
		if !errors.Is(err, ErrNoAction) || !errors.Is(err, context.DeadlineExceeded) || got != (Outcome{}) {
			t.Errorf("Complete = %+v, %v, want ErrNoAction and DeadlineExceeded", got, err)
		}
		if took := time.Since(s.begun); took != 5*time.Minute {
			t.Errorf("took %v, want 5m", took)
		}
		// 4 s, 8 s, 16 s and then 24 s, each up to a half shorter.
		if n := s.count("Complete"); n < 17 || n > 21 {
			t.Errorf("%d calls in five minutes, want about 19", n)
		}
		if a, d := s.count("Complete"), s.count("DescribeInstances"); a != d {
			t.Errorf("%d looks for %d calls, want one each", d, a)
		}
		if n := s.count("DescribeHooks"); n != 1 {
			t.Errorf("DescribeLifecycleHooks was called %d times, want 1", n)
		}
		for i, at := range s.times("Complete")[1:4] {
			pause := at - s.times("Complete")[i]
			if most := 4 * time.Second << i; pause < most/2 || pause > most {
				t.Errorf("pause %d is %v, want %v or up to a half less", i, pause, most)
			}
		}
	})
}

func TestCompleteIsNotASecondRetryLayer(t *testing.T) {
	broken := errors.New("Throttling: Rate exceeded")
	for _, op := range []string{"Complete", "DescribeInstances", "DescribeHooks"} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(time.Hour)
			s.waiting = always(false)
			s.broken[op] = always(broken)
			if _, err := s.client().Complete(within(t, time.Minute), ours, Continue, nil); !errors.Is(err, broken) {
				t.Errorf("%s broken: Complete = %v, want %v", op, err, broken)
			}
			if n := s.count(op); n != 1 {
				t.Errorf("%s was called %d times, want 1", op, n)
			}
		})
	}
}

func TestHooksNotToBeTouched(t *testing.T) {
	tests := []struct {
		action Action
		want   error
	}{
		{Action{"web", "CodeDeploy-managed-automatic-launch-deployment-hook-x", self}, ErrForeignHook},
		{Action{"", "koboshi-launching", self}, nil},
		{Action{"web", "", self}, nil},
		{Action{"web", "koboshi-launching", ""}, nil},
	}
	for _, tt := range tests {
		s := newService(time.Hour)
		_, completed := s.client().Complete(t.Context(), tt.action, Continue, nil)
		beaten := s.client().Heartbeat(t.Context(), tt.action)
		var kept error
		s.client().KeepAlive(t.Context(), tt.action, 0, func(_ int, err error) { kept = err })
		for _, err := range []error{completed, beaten, kept} {
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%+v: error %v, want %v", tt.action, err, tt.want)
			}
		}
		if len(s.calls) != 0 {
			t.Errorf("%+v: called %v, want no call", tt.action, s.calls)
		}
	}
}

func TestGroup(t *testing.T) {
	for _, chatty := range []bool{false, true} {
		s := newService(time.Hour)
		s.chatty = chatty
		if group, state, err := s.client().Group(t.Context(), self); group != "web" || state != "Pending:Wait" || err != nil {
			t.Errorf("Group = %q, %q, %v, want web, Pending:Wait", group, state, err)
		}
		s.state = always("")
		if group, state, err := s.client().Group(t.Context(), self); group != "" || state != "" || err != nil {
			t.Errorf("Group of an instance in none = %q, %q, %v", group, state, err)
		}
	}
}
