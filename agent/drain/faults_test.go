package drain

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/balancer"
	"koboshi/agent/flush"
	"koboshi/agent/lifecycle"
)

var throttled = errors.New("rate exceeded")

// What the group, the balancer and the shippers may do wrong: whether the app was let
// go first, when the group was told, and what counts as delivered.
func TestFaults(t *testing.T) {
	whole := []string{"leaving", "pre_stop", "before", "stopped", "flushed", "CONTINUE"}
	warned := slices.Insert(slices.Clone(whole), 1, "warning")
	tests := map[string]struct {
		set         func(*world, *Drain)
		did         []string
		least, most time.Duration
		err         error
	}{
		"heartbeats are throttled for a minute": {func(w *world, _ *Drain) {
			w.beat = throttled
			w.later(time.Minute, func() { w.beat = nil })
		}, whole, time.Minute, 95 * time.Second, nil},
		"heartbeats are denied": {func(w *world, _ *Drain) { w.beat = lifecycle.ErrDenied }, // the hook waits for nothing else
			warned, 9 * time.Minute, 9 * time.Minute, nil},
		"the target group is gone": {func(w *world, _ *Drain) { w.denied, w.unused = balancer.ErrNoGroup, never },
			warned, 20 * time.Second, 45 * time.Second, nil},
		"the balancer does not answer for a minute": {func(w *world, _ *Drain) {
			w.denied = throttled
			w.later(time.Minute, func() { w.denied = nil })
		}, whole, time.Minute, 95 * time.Second, nil},
		"completing is throttled for a minute": {func(w *world, _ *Drain) { w.slowly(time.Minute) }, whole, 80 * time.Second, 105 * time.Second, nil},
		"completing is denied":                 {func(w *world, _ *Drain) { w.refusal = lifecycle.ErrDenied }, whole[:5], 20 * time.Second, 45 * time.Second, lifecycle.ErrNotCompleted},
		"completing is throttled for long":     {func(w *world, _ *Drain) { w.slowly(time.Hour) }, whole[:5], 12 * time.Minute, 12 * time.Minute, lifecycle.ErrNotCompleted},
		"the reply of completing is lost":      {func(w *world, _ *Drain) { w.replyLost = true }, whole, 20 * time.Second, 45 * time.Second, nil},
		"the hook has run out meanwhile": {func(w *world, _ *Drain) { // its total limit, too
			w.slow, w.expires = 3*time.Minute, time.Minute
		}, whole[:5], 3 * time.Minute, 4 * time.Minute, nil},
		"the hook is deleted meanwhile": {func(w *world, _ *Drain) { w.end = lifecycle.NoHook },
			append(slices.Clone(whole[:5]), "warning"), 20 * time.Second, 45 * time.Second, nil},
		"a shipper is stopped": {func(w *world, _ *Drain) { w.flushes = flush.Answer{Outcome: flush.Unknown, Note: "no such process"} },
			whole, 20 * time.Second, 45 * time.Second, ErrLeft},
		"a shipper drops": {func(w *world, _ *Drain) { w.flushes = flush.Answer{Outcome: flush.Lost, Lost: 3, Unit: "records"} },
			whole, 20 * time.Second, 45 * time.Second, ErrLeft},
		"the app ignores SIGTERM for longer than there is time": {func(w *world, _ *Drain) { w.stops = time.Hour },
			[]string{"leaving", "pre_stop", "before", "CONTINUE"}, 10 * time.Minute, 10 * time.Minute, ErrStop},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d := w.drain(terminated)
				tt.set(w, d)
				if err := d.Run(t.Context()); !errors.Is(err, tt.err) || tt.err == nil && err != nil {
					t.Errorf("Run: %v, want %v", err, tt.err)
				}
				w.within(tt.least, tt.most)
				w.did(tt.did...)
				if last := w.saved[len(w.saved)-1]; last.Open() || last.Told != (w.told != "" && !w.replyLost) {
					t.Errorf("the record is %+v", last)
				}
				if w.kept != 0 {
					t.Errorf("%d heartbeats go on", w.kept)
				}
			})
		})
	}
}

// slowly makes completing wait as the retryer does while the service throttles.
func (w *world) slowly(d time.Duration) { w.throttles = d }

// A notice that is withdrawn after the app was stopped changes nothing, whichever
// process has stopped it.
func TestWithdrawnAfterTheStop(t *testing.T) {
	for _, step := range []string{"stop", "flush", "complete"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.running, w.waits = false, after(0)
			d := w.drain(terminated)
			d.Record.Step, d.Record.Stopped = step, true // by the process before
			d.withdrawn.Store(true)                      // as an event is heeded
			if err := d.Run(t.Context()); err != nil {
				t.Errorf("%s: %v: the app would stay stopped", step, err)
			}
			if w.told != "CONTINUE" {
				t.Errorf("%s: completed with %q", step, w.told)
			}
		})
	}
}

// However long the deregistration takes, few calls are made: 20 a second are all that
// an account has.
func TestFewCalls(t *testing.T) {
	for wait, most := range map[time.Duration]int{10 * time.Second: 3, time.Minute: 5, 5 * time.Minute: 18} {
		for n := range 50 {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.waits, w.unused = after(wait), after(wait)
				d := w.drain(terminated)
				d.Record.Instance = fmt.Sprintf("i-%017x", n)
				if err := d.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if w.beats > most {
					t.Errorf("%v: %d heartbeats were tried, want %d at most", wait, w.beats, most)
				}
				if late := w.since() - wait; late > 30*time.Second || wait == 10*time.Second && late > 10*time.Second {
					t.Errorf("%v: completed %v after the wait began", wait, late)
				}
			})
		}
	}
}
