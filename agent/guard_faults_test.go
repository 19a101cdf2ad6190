package agent

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/guard"
)

// died lets a process run until the line is cut, and repairs after it.
func (w *guardWorld) died(cut int, after bool, meanwhile func(*guardWorld) error, force bool) {
	w.Helper()
	l := w.line()
	l.cut, l.after = cut, after
	_, _ = l.run(&program{takes: time.Second}) // it is dead: its error is no one's
	if !force {
		elapse(2 * time.Minute)
	}
	if meanwhile != nil {
		w.check(meanwhile(w))
	}
	if !force {
		elapse(2 * time.Minute)
	}
	if _, err := w.line().guard("ops").Repair(context.Background(), force); err != nil {
		w.Errorf("call %d, after %v: repair: %v", cut, after, err)
	}
}

// A process that is killed before or after any of its calls leaves nothing that repair
// does not put back, and nothing is touched that others have suspended.
func TestGuardKilledAtEveryCall(t *testing.T) {
	const rebalance, health = autoscaling.AZRebalance, autoscaling.HealthCheck
	for name, tt := range map[string]struct {
		before    []autoscaling.Process
		meanwhile func(*guardWorld) error // two minutes after it was killed
		adds      []autoscaling.Process   // what is suspended by that
		force     bool
		lag       time.Duration
	}{
		"nothing else":                   {},
		"forced":                         {force: true},
		"another's before":               {before: []autoscaling.Process{rebalance, health}},
		"another's before, stale, force": {before: []autoscaling.Process{rebalance}, lag: 30 * time.Second, force: true},
		"stale":                          {lag: 30 * time.Second},
		"one added":                      {meanwhile: func(w *guardWorld) error { return w.model.Suspend("web", health) }, adds: []autoscaling.Process{health}},
		"one resumed by hand":            {meanwhile: func(w *guardWorld) error { return w.model.Resume("web", rebalance) }},
		"resumed and suspended again": {meanwhile: func(w *guardWorld) error {
			return errors.Join(w.model.Resume("web", rebalance), w.model.Suspend("web", rebalance))
		}, adds: []autoscaling.Process{rebalance}},
	} {
		t.Run(name, func(t *testing.T) {
			sum, good := 0, 0
			for cut, last := 1, 1; cut <= last; cut++ {
				for _, after := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) {
						w := newGuardWorld(t)
						if len(tt.before) > 0 {
							w.check(w.model.Suspend("web", tt.before...))
							elapse(time.Hour)
						}
						want := append(slices.Clone(tt.before), tt.adds...)
						if cut == 1 && !after { // how many calls are there?
							l := w.line()
							_, err := l.run(&program{takes: time.Second})
							w.check(err)
							last = len(l.calls)
							elapse(time.Minute)
						}
						w.model.SetLag(tt.lag)
						w.died(cut, after, tt.meanwhile, tt.force)
						sum++
						if got := slices.Sorted(maps.Keys(w.model.Suspended("web"))); !slices.Equal(got, want) {
							t.Errorf("killed at call %d, after it %v: suspended %q, want %q", cut, after, got, want)
							return
						}
						l := w.line() // and the group is free
						w.model.SetLag(0)
						if _, err := l.run(&program{takes: time.Second}); err != nil {
							t.Errorf("killed at call %d, after it %v: the next run: %v", cut, after, err)
							return
						}
						good++
					})
				}
			}
			t.Logf("%d of %d", good, sum)
			if good != sum || sum < 20 {
				t.Errorf("%d of %d", good, sum)
			}
		})
	}
}

// A holder that cannot renew its lease ends its command before the lease ends.
func TestGuardThatLosesItsLease(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			p := &program{takes: time.Hour, deaf: deaf}
			var began time.Time
			p.do = func() {
				began = time.Now()
				w.mu.Lock()
				defer w.mu.Unlock()
				w.refuse = func(service, operation string, _ int) (int, string) {
					if service == "s3" && operation == http.MethodPut && time.Since(began) < 10*time.Minute {
						return http.StatusServiceUnavailable, "SlowDown"
					}
					return 0, ""
				}
			}
			out, err := w.line().run(p)
			took := p.killed.Sub(began)
			t.Logf("deaf to SIGTERM %v: the command has ended after %s by %v; %v", deaf, took, p.got, err)
			if out.Ending != ByLoss || took > 2*time.Minute || p.got[0] != syscall.SIGTERM || p.got[len(p.got)-1] != syscall.SIGKILL {
				t.Errorf("%+v after %s, signals %v", out, took, p.got)
			}
			if deaf == (out.Code == 128+15) {
				t.Errorf("code %d", out.Code)
			}
			if w.suspended() != "" { // Auto Scaling was there
				t.Errorf("suspended: %s", w.suspended())
			}
			if !errors.Is(err, guard.ErrNotRestored) { // but the lock was not released
				t.Errorf("error %v", err)
			}
			elapse(15 * time.Minute)
			_, err = w.line().guard("ops").Repair(t.Context(), false)
			w.check(err)
		})
	}
}

// A repair that is forced ends the holder's command.
func TestGuardThatIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		p := &program{takes: time.Hour}
		p.do = func() {
			time.AfterFunc(10*time.Minute, func() {
				restored, err := w.line().guard("ops").Repair(context.Background(), true)
				if err != nil || len(restored[0].Resumed) != 2 || restored[0].Was != "ci" {
					t.Errorf("%+v, %v", restored, err)
				}
			})
		}
		began := time.Now()
		out, err := w.line().run(p)
		if took := time.Since(began); out.Ending != ByLoss || took > 11*time.Minute || !errors.Is(err, guard.ErrNotRestored) {
			t.Errorf("%+v after %s: %v", out, took, err)
		}
		if w.suspended() != "" {
			t.Errorf("suspended: %s", w.suspended())
		}
	})
}

// What AWS answers late, throttled or by another clock changes nothing but the time.
func TestGuardInTrouble(t *testing.T) {
	throttled := func(service, operation string, n int) (int, string) {
		switch {
		case n%3 == 0:
			return 0, ""
		case service == "s3":
			return http.StatusServiceUnavailable, "SlowDown"
		}
		return http.StatusBadRequest, "Throttling"
	}
	for name, tt := range map[string]struct {
		change func(*guardWorld)
		failed bool
	}{
		"Describe is stale for 30 s":    {func(w *guardWorld) { w.model.SetLag(30 * time.Second) }, false},
		"throttled throughout":          {func(w *guardWorld) { w.refuse = throttled }, false},
		"stale and throttled":           {func(w *guardWorld) { w.model.SetLag(30 * time.Second); w.refuse = throttled }, false},
		"Auto Scaling is 10 min ahead":  {func(w *guardWorld) { w.skew = 10 * time.Minute }, false},
		"Auto Scaling is 10 min behind": {func(w *guardWorld) { w.skew = -10 * time.Minute }, false},
		"S3 is 10 min ahead":            {func(w *guardWorld) { w.off = 10 * time.Minute }, false},
		"S3 is behind, the other ahead": {func(w *guardWorld) { w.off, w.skew = -10*time.Minute, 10*time.Minute }, false},
		"Resume fails 5 times":          {func(w *guardWorld) { w.refuse = resumeFails(5) }, false},
		"Resume is throttled 5 times":   {func(w *guardWorld) { w.refuse = resumeFails(5) }, false},
		"Resume fails 20 times":         {func(w *guardWorld) { w.refuse = resumeFails(20) }, false},
		"Resume fails for good":         {func(w *guardWorld) { w.refuse = resumeFails(1 << 30) }, true},
		"every tenth answer is a failure": {func(w *guardWorld) {
			w.refuse = func(service, operation string, n int) (int, string) {
				if n%10 == 9 {
					return http.StatusInternalServerError, "InternalError"
				}
				return 0, ""
			}
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			tt.change(w)
			began := time.Now()
			out, err := w.line().run(&program{takes: 5 * time.Minute, code: 7})
			t.Logf("%s: %s, %v", name, time.Since(began).Round(time.Second), err)
			if !out.Started || out.Code != 7 || out.Ending != ByItself || errors.Is(err, guard.ErrNotRestored) != tt.failed {
				t.Errorf("%s: %+v, %v", name, out, err)
			}
			if (w.suspended() != "") != tt.failed {
				t.Errorf("%s: suspended %s", name, w.suspended())
			}
			if !tt.failed {
				return
			}
			w.refuse = func(string, string, int) (int, string) { return 0, "" }
			elapse(5 * time.Minute)
			_, err = w.line().guard("ops").Repair(t.Context(), false)
			w.check(err)
			if w.suspended() != "" {
				t.Errorf("%s: after repair %s", name, w.suspended())
			}
		})
	}
}

func resumeFails(times int) func(string, string, int) (int, string) {
	return func(_, operation string, n int) (int, string) {
		if operation == "ResumeProcesses" && n <= times {
			return http.StatusInternalServerError, "InternalFailure"
		}
		return 0, ""
	}
}

// A store that cannot keep a lock is refused before anything is done.
func TestGuardNeedsAStore(t *testing.T) {
	for name, tt := range map[string]struct {
		record string
		want   error
	}{
		"garbage":      {"garbage", guard.ErrRecord},
		"newer":        {`{"schema":9}`, guard.ErrNewer},
		"of another":   {`{"schema":1,"group":"api","fence":1,"state":"released","holder":"","nonce":""}`, guard.ErrRecord},
		"far too long": {strings.Repeat(" ", guard.MaxRecord+1), guard.ErrRecord},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			w.objects.Put("releases", "apps/web/guard/web.json", []byte(tt.record))
			l := w.line()
			_, err := l.run(&program{})
			if !errors.Is(err, tt.want) || slices.Contains(l.calls, http.MethodPut) || slices.Contains(l.calls, "SuspendProcesses") {
				t.Errorf("%s: %v after %q", name, err, l.calls)
			}
			if _, err := w.line().guard("ops").Repair(t.Context(), true); !errors.Is(err, tt.want) {
				t.Errorf("%s: repair: %v", name, err)
			}
		})
	}
}
