package agent_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/pace"
)

// A fleet that fails together must not be replaced all at once, and one that comes
// up together must not send CONTINUE in the same minute. An instance without a
// waiting action has no jitter.
func TestWaitsBeforeTheSignal(t *testing.T) {
	spread := time.Duration(pace.Share(self, 0) * float64(9*time.Minute)).Round(time.Millisecond)
	hold := time.Duration(pace.Share(self, 0) * float64(time.Minute)).Round(time.Millisecond)
	tests := []struct {
		name  string
		given func(*world)
		err   error
		waits string // and how long, as passed to Waits; "" = nothing
		takes time.Duration
	}{
		{"comes up", func(*world) {}, nil, "continue jitter " + spread.String(), spread},
		{"comes up in no group", (*world).leaveGroup, nil, "", 0},
		{"comes up stale", func(w *world) { baked(w); w.waits = nil; w.pointerErr = noChannel }, nil, "continue jitter " + spread.String(), spread},
		{"fails", func(w *world) { w.ill["1"] = true }, health.ErrUnhealthy, "abandon delay " + hold.String(), hold},
		{"fails in no group", func(w *world) { w.ill["1"] = true; w.leaveGroup() }, health.ErrUnhealthy, "", 0},
		{"fails, left to look at", func(w *world) { w.ill["1"] = true; w.wait = true }, health.ErrUnhealthy, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				tt.given(w)
				w.spreadOver, w.holdFor = 9*time.Minute, time.Minute
				begun, signalled := time.Now(), time.Duration(0)
				w.signalled = func() { signalled = time.Since(begun) }
				_, err := w.run(t.Context(), (*agent.Agent).Boot)
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if got := slices.Concat(w.waits, []string{""})[0]; got != tt.waits || signalled != tt.takes {
					t.Errorf("waits %q and completes the action after %v, want %q and %v", w.waits, signalled, tt.waits, tt.takes)
				}
			})
		})
	}
}

// A release that is promoted while an instance waits for its turn is the one with
// which it comes into service.
func TestAChannelThatMovesDuringTheSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.spreadOver = 9 * time.Minute
		w.onWait = func() { w.release("2") }
		rep, err := w.run(t.Context(), (*agent.Agent).Boot)
		w.check(t, rep, err, result{report.Fresh, nil, "2", "2", goOn})
		if len(w.waits) != 1 {
			t.Errorf("waits %q, want once", w.waits)
		}
	})
}

// A launch that is interrupted while it waits completes nothing, and the next boot
// continues it.
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

// A live machine follows its channel at its turn within the signed spread, to the
// release that the channel points to by then. A release that runs already is not
// waited for, and a launch never waits.
func TestTurns(t *testing.T) {
	turn := time.Duration(pace.Share(self, 0) * float64(time.Hour)).Round(time.Millisecond)
	spread := func(w *world) { w.spreadSeconds = 3600; w.promote("2", time.Time{}) }
	sync := func(o agent.SyncOptions) func(*agent.Agent, context.Context) (report.Report, error) {
		return func(a *agent.Agent, ctx context.Context) (report.Report, error) { return a.Sync(ctx, o) }
	}
	tests := []struct {
		name  string
		given func(*world)
		do    func(*agent.Agent, context.Context) (report.Report, error)
		want  result
		waits time.Duration
	}{
		{"sync", func(w *world) { live(w); spread(w) }, sync(agent.SyncOptions{}), result{report.Fresh, nil, "2", "2", nil}, 0},
		{"sync --spread", func(w *world) { live(w); spread(w) }, sync(agent.SyncOptions{Spread: true}), result{report.Fresh, nil, "2", "2", nil}, turn},
		{"sync --spread, nothing signed", live, sync(agent.SyncOptions{Spread: true}), result{report.Fresh, nil, "2", "2", nil}, 0},
		{"sync --spread, running already", func(w *world) { live(w); w.spreadSeconds = 3600; w.promote("1", time.Time{}) }, sync(agent.SyncOptions{Spread: true}), result{report.Current, nil, "1", "1", nil}, 0},
		{"sync --spread, held", func(w *world) { live(w); spread(w); w.tags[config.TagHold] = "x" }, sync(agent.SyncOptions{Spread: true}), result{report.Held, nil, "1", "1", nil}, 0},
		{"sync --spread, no channel", func(w *world) { live(w); spread(w); w.pointerErr = noChannel }, sync(agent.SyncOptions{Spread: true}), result{report.Stale, noChannel, "1", "1", nil}, 0},
		{"sync --spread, moves meanwhile", func(w *world) { live(w); spread(w); w.onWait = func() { w.release("3") } }, sync(agent.SyncOptions{Spread: true}), result{report.Fresh, nil, "3", "3", nil}, turn},
		{"reboot", func(w *world) { live(w); spread(w) }, (*agent.Agent).Boot, result{report.Fresh, nil, "2", "2", nil}, turn},
		{"reboot, nothing signed", live, (*agent.Agent).Boot, result{report.Fresh, nil, "2", "2", nil}, 0},
		{"launch", spread, (*agent.Agent).Boot, result{report.Fresh, nil, "2", "2", goOn}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish("2")
				tt.given(w)
				w.onWaiting(func() { // others may work meanwhile
					unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
					if err != nil {
						t.Fatal(err)
					}
					unlock()
				})
				begun := time.Now()
				rep, err := w.run(t.Context(), tt.do)
				w.check(t, rep, err, tt.want)
				if took := time.Since(begun); took != tt.waits {
					t.Errorf("it took %v, want %v", took, tt.waits)
				}
			})
		})
	}
}

// onWaiting adds a call for the moment when a run begins to wait.
func (w *world) onWaiting(do func()) {
	before := w.onWait
	w.onWait = func() {
		if before != nil {
			before()
		}
		do()
	}
}

func TestASyncThatIsInterruptedInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		live(w)
		w.spreadSeconds = 3600
		w.promote("2", time.Time{})
		before := w.report(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.onWait = cancel
		_, err := w.run(ctx, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
			return a.Sync(ctx, agent.SyncOptions{Spread: true})
		})
		if !errors.Is(err, failure.ErrInterrupted) || w.current() != "1" || w.report(t).Started != before.Started {
			t.Errorf("error %v, current %s", err, w.current())
		}
	})
}

// A turn may be longer than the deadline of a run.
func TestTheDeadlineDoesNotCountTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		live(w)
		w.spreadSeconds = int64(artifacts.MaxSpread / time.Second)
		w.promote("2", time.Time{})
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
	})
}

// Completing a throttled action is repeated for as long as the deadline, 15
// minutes, and two minutes more; after a shutdown for two minutes.
func TestThrottledActionIsCompleted(t *testing.T) {
	tests := []struct {
		name        string
		throttled   time.Duration
		interrupted time.Duration // 0 = not
		err         error
		takes       time.Duration
	}{
		{"for long", 16 * time.Minute, 0, nil, 16 * time.Minute},
		{"for too long", time.Hour, 0, lifecycle.ErrNotCompleted, 17 * time.Minute},
		{"until the shutdown", time.Hour, 5 * time.Minute, lifecycle.ErrNotCompleted, 7 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.throttled = tt.throttled
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.interrupted > 0 {
					time.AfterFunc(tt.interrupted, cancel)
				}
				begun := time.Now()
				_, err := w.run(ctx, (*agent.Agent).Boot)
				if took := time.Since(begun); !errors.Is(err, tt.err) || took != tt.takes {
					t.Errorf("%v after %v, want %v after %v", err, took, tt.err, tt.takes)
				}
			})
		})
	}
}
