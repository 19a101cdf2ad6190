package agent_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/asg"
	"koboshi/agent/health"
	"koboshi/agent/status"
)

// A fleet that fails together is not to be launched again in step, and one that
// comes up together does not tell its group so in the same minute. Who nobody
// waits for does not wait.
func TestWaitsBeforeTheHookIsTold(t *testing.T) {
	spread := time.Duration(asg.Share(self, 0) * float64(9*time.Minute)).Round(time.Millisecond)
	hold := time.Duration(asg.Share(self, 0) * float64(time.Minute)).Round(time.Millisecond)
	tests := []struct {
		name  string
		given func(*world)
		err   error
		waits string // and how long, as Waits is told; "" = nothing
		takes time.Duration
	}{
		{"comes up", func(*world) {}, nil, "spread " + spread.String(), spread},
		{"comes up in no group", func(w *world) { w.target = "" }, nil, "", 0},
		{"comes up stale", func(w *world) { baked(w); w.waits = nil; w.pointerErr = noChannel }, nil, "spread " + spread.String(), spread},
		{"fails", func(w *world) { w.ill["1"] = true }, health.ErrUnhealthy, "hold " + hold.String(), hold},
		{"fails in no group", func(w *world) { w.ill["1"] = true; w.target = "" }, health.ErrUnhealthy, "", 0},
		{"fails, left to look at", func(w *world) { w.ill["1"] = true; w.wait = true }, health.ErrUnhealthy, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				tt.given(w)
				w.spreadOver, w.holdFor = 9*time.Minute, time.Minute
				begun, told := time.Now(), time.Duration(0)
				w.signalled = func() { told = time.Since(begun) }
				_, err := w.run(t.Context(), (*agent.Agent).Boot)
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if got := slices.Concat(w.waits, []string{""})[0]; got != tt.waits || told != tt.takes {
					t.Errorf("waits %q and tells the hook after %v, want %q and %v", w.waits, told, tt.waits, tt.takes)
				}
			})
		})
	}
}

// What was promoted while an instance waited for its turn is what it comes into
// service with.
func TestAChannelThatMovesDuringTheSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.spreadOver = 9 * time.Minute
		w.onWait = func() { w.release("2") }
		report, err := w.run(t.Context(), (*agent.Agent).Boot)
		w.check(t, report, err, result{status.Fresh, nil, "2", "2", goOn})
		if len(w.waits) != 1 {
			t.Errorf("waits %q, want once", w.waits)
		}
	})
}

// A launch that is interrupted while it waits says nothing, and the next boot
// goes on with it.
func TestAnInterruptionEndsTheWait(t *testing.T) {
	for _, ill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.spreadOver, w.holdFor, w.ill["1"] = 9*time.Minute, time.Minute, ill
			ctx, cancel := context.WithCancel(t.Context())
			w.onWait = cancel
			begun := time.Now()
			_, _ = w.run(ctx, (*agent.Agent).Boot)
			if len(w.signals) > 0 || time.Since(begun) > time.Second {
				t.Errorf("ill %v: signals %v after %v", ill, w.signals, time.Since(begun))
			}
		})
	}
}
