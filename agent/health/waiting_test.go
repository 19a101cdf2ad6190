package health

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errRefused = errors.New("connection refused")

// app is a fake app for the gate, by the time since the gate began.
type app struct {
	began time.Time
	probe func(at time.Duration) error
	gone  func(at time.Duration) (string, error)
}

func (a *app) try(context.Context) error { return a.probe(time.Since(a.began)) }

func (a *app) Gone(context.Context) (string, error) {
	if a.gone == nil {
		return "", nil
	}
	return a.gone(time.Since(a.began))
}

func green(time.Duration) error { return nil }

// red is a probe that fails in [from, to).
func red(from, to time.Duration) func(time.Duration) error {
	return func(at time.Duration) error {
		if at >= from && at < to {
			return errRefused
		}
		return nil
	}
}

func both(a, b func(time.Duration) error) func(time.Duration) error {
	return func(at time.Duration) error { return errors.Join(a(at), b(at)) }
}

const never = time.Hour

func TestGate(t *testing.T) {
	tests := []struct {
		name       string
		probe      func(time.Duration) error
		gone       func(time.Duration) (string, error)
		bake       time.Duration
		took       time.Duration
		firstGreen time.Duration
		unhealthy  string // part of the error
	}{
		{name: "green at once", probe: green, bake: 10 * time.Second, took: 10 * time.Second},
		{name: "green at once, no bake", probe: green},
		{name: "late", probe: red(0, 200*time.Millisecond), bake: time.Second,
			took: 1200 * time.Millisecond, firstGreen: 200 * time.Millisecond},
		{name: "late, with the last try", probe: red(0, time.Minute), bake: 10 * time.Second,
			took: 70 * time.Second, firstGreen: time.Minute},
		{name: "too late", probe: red(0, time.Minute+1), bake: 10 * time.Second,
			took: time.Minute, unhealthy: "connection refused"},
		{name: "never", probe: red(0, never), took: time.Minute, unhealthy: "connection refused"},
		{name: "red in the window, which begins anew", probe: red(25*time.Millisecond, 100*time.Millisecond), bake: time.Second,
			took: 1100 * time.Millisecond, firstGreen: 100 * time.Millisecond},
		{name: "red in the window, too late for another",
			probe: both(red(0, time.Minute), red(61*time.Second, never)), bake: 10 * time.Second,
			took: 61 * time.Second, firstGreen: time.Minute, unhealthy: "connection refused"},
		{name: "red at the very end of the window", probe: red(10*time.Second, 10*time.Second+1), bake: 10 * time.Second,
			took: 21 * time.Second, firstGreen: 11 * time.Second},
		{name: "gone before it was green", probe: red(0, never), gone: goneAfter(500 * time.Millisecond),
			took: 500 * time.Millisecond, unhealthy: "the app is gone: web.service is failed"},
		{name: "gone in the window though the probe is green", probe: green, gone: goneAfter(500 * time.Millisecond),
			bake: 10 * time.Second, took: 500 * time.Millisecond, unhealthy: "web.service is failed"},
		{name: "the old process answers first", probe: green, gone: oldUntil(100 * time.Millisecond), bake: time.Second,
			took: 1100 * time.Millisecond, firstGreen: 100 * time.Millisecond},
		{name: "the old process answers for ever", probe: green, gone: oldUntil(never), bake: time.Second,
			took: time.Minute, unhealthy: "started before the restart"},
		{name: "not seen for a while, which is not the app's fault", probe: green, gone: unseen(time.Second, 5*time.Second), bake: 10 * time.Second,
			took: 10 * time.Second},
		{name: "not seen at first", probe: green, gone: unseen(0, 5*time.Second), bake: 10 * time.Second,
			took: 15 * time.Second, firstGreen: 5 * time.Second},
		{name: "not seen when the window ends", probe: green, gone: unseen(5*time.Second, 20*time.Second), bake: 10 * time.Second,
			took: 20 * time.Second},
		{name: "red while it is not seen", probe: red(2*time.Second, never), gone: unseen(time.Second, 3*time.Second), bake: 10 * time.Second,
			took: time.Minute, unhealthy: "connection refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &app{began: time.Now(), probe: test.probe, gone: test.gone}
				w := waiting{gate: Gate{Timeout: time.Minute, Bake: test.bake}, probe: a.try, process: a, began: a.began}
				err := w.wait(t.Context())
				checkTime(t, "took", time.Since(a.began), test.took)
				checkTime(t, "first green", w.report.FirstGreen, test.firstGreen)
				checkUnhealthy(t, err, test.unhealthy)
			})
		})
	}
}

// unseen is a process that cannot be looked at in [from, to).
func unseen(from, to time.Duration) func(time.Duration) (string, error) {
	return func(at time.Duration) (string, error) {
		if at >= from && at < to {
			return "", ErrUnknown
		}
		return "", nil
	}
}

// Never seen is not unhealthy, either.
func TestGateNeverSees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{began: time.Now(), probe: green, gone: unseen(0, never)}
		w := waiting{gate: Gate{Timeout: time.Minute, Bake: time.Second}, probe: a.try, process: a, began: a.began}
		err := w.wait(t.Context())
		if !errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnhealthy) {
			t.Errorf("the gate ended with %v, want ErrUnknown alone", err)
		}
		checkTime(t, "took", time.Since(a.began), time.Minute+unknownLimit)
	})
}

// checkTime allows for one pause, a tenth of the time that had passed and never
// less than minPause; the ends of both phases it hits exactly.
func checkTime(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+min(max(want/10, minPause), maxPause) {
		t.Errorf("%s %v, want %v", what, got, want)
	}
}

func checkUnhealthy(t *testing.T, err error, want string) {
	t.Helper()
	failure, unhealthy := errors.AsType[*UnhealthyError](err)
	switch {
	case want == "" && err != nil:
		t.Errorf("the gate stayed shut: %v", err)
	case want == "":
	case !unhealthy || !errors.Is(err, ErrUnhealthy):
		t.Errorf("got %v, want an *UnhealthyError", err)
	case !strings.Contains(err.Error(), want) || !strings.Contains(failure.Last.Error(), want):
		t.Errorf("error %q, last %q: want %q in both", err, failure.Last, want)
	}
}

func goneAfter(limit time.Duration) func(time.Duration) (string, error) {
	return func(at time.Duration) (string, error) {
		if at >= limit {
			return "web.service is failed", nil
		}
		return "", nil
	}
}

func oldUntil(limit time.Duration) func(time.Duration) (string, error) {
	return func(at time.Duration) (string, error) {
		if at < limit {
			return "", errors.New("pid 7 started before the restart")
		}
		return "", nil
	}
}

// The window's last try is made at its end, so that what ends right then is red.
func TestWindowEndsExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{began: time.Now(), probe: green}
		w := waiting{gate: Gate{Bake: 3 * time.Second}, probe: a.try, process: a, began: a.began}
		if err := w.wait(t.Context()); err != nil || time.Since(a.began) != 3*time.Second {
			t.Errorf("wait = %v after %v, want 3s", err, time.Since(a.began))
		}
	})
}

func TestHangingProbeIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w := waiting{gate: Gate{Probe: Probe{Timeout: 2 * time.Second}, Timeout: 5 * time.Second}, probe: hang, process: &app{}, began: began}
		err := w.wait(t.Context())
		checkUnhealthy(t, err, "no answer within 2s")
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v looks like a deadline of the caller's", err)
		}
		if took := time.Since(began); took > 7*time.Second || w.report.Attempts != 3 {
			t.Errorf("took %v and %d tries, want at most 7s and 3", took, w.report.Attempts)
		}
	})
}

// hangingProcess is a systemd that does not answer.
type hangingProcess struct{}

func (hangingProcess) Gone(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// A systemd socket takes the probe's connection though no process accepts it.
func TestHangingProbeOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{began: time.Now(), gone: goneAfter(time.Second)}
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w := waiting{gate: Gate{Timeout: time.Minute}, probe: hang, process: a, began: a.began}
		checkUnhealthy(t, w.wait(t.Context()), "the app is gone: web.service is failed")
		if took := time.Since(a.began); took > time.Second+lookEach || w.report.Attempts != 1 {
			t.Errorf("it took %v and %d tries to see it", took, w.report.Attempts)
		}
	})
}

func TestHangingProcessIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{began: time.Now(), probe: green}
		w := waiting{gate: Gate{Timeout: time.Second}, probe: a.try, process: hangingProcess{}, began: a.began}
		if err := w.wait(t.Context()); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "no information about the process within 5s") {
			t.Errorf("wait = %v", err)
		}
	})
}

// What the process did while a probe was under way counts, also where it is well
// again when the probe has ended.
func TestRedWhileProbing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := errors.New("web.service has ended; systemd restarts it")
		a := &app{began: time.Now(), gone: func(at time.Duration) (string, error) {
			if at > time.Second && at < 1500*time.Millisecond {
				return "", again
			}
			return "", nil
		}}
		slow := func(ctx context.Context) error { <-time.After(2 * time.Second); return nil }
		w := waiting{gate: Gate{Timeout: time.Minute, Bake: time.Second}, probe: slow, process: a, began: a.began}
		if err := w.wait(t.Context()); err != nil || w.report.FirstGreen < 4*time.Second {
			t.Errorf("wait = %v, first green after %v, want the second try", err, w.report.FirstGreen)
		}
	})
}

// Why the app is not healthy yet is told within two seconds, and when it changes,
// but never of a start that is over before.
func TestRedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var at []time.Duration
		began := time.Now()
		tell := func(why error) { told, at = append(told, why.Error()), append(at, time.Since(began)) }
		a := &app{began: began, probe: func(at time.Duration) error {
			switch {
			case at < 20*time.Second:
				return errRefused
			case at < 40*time.Second:
				return errors.New("503")
			}
			return nil
		}}
		w := waiting{gate: Gate{Timeout: time.Minute, Red: tell}, probe: a.try, process: a, began: began}
		if err := w.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if strings.Join(told, ", ") != "connection refused, 503" || at[0] > 2*time.Second || at[1] > 24*time.Second {
			t.Errorf("told %q at %v", told, at)
		}
		told, a.began = nil, time.Now()
		a.probe = red(0, 900*time.Millisecond)
		w = waiting{gate: Gate{Timeout: time.Minute, Red: tell}, probe: a.try, process: a, began: a.began}
		if err := w.wait(t.Context()); err != nil || told != nil {
			t.Errorf("wait = %v, told %q", err, told)
		}
		a.began, a.probe = time.Now(), func(at time.Duration) error { return errors.New(at.String()) }
		w = waiting{gate: Gate{Timeout: 2 * time.Minute, Red: tell}, probe: a.try, process: a, began: a.began}
		if err := w.wait(t.Context()); err == nil || len(told) > 40 {
			t.Errorf("wait = %v, told %d times", err, len(told))
		}
	})
}

func TestContextEndsTheWait(t *testing.T) {
	for name, probe := range map[string]func(time.Duration) error{"red": red(0, never), "green": green} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				a := &app{began: time.Now(), probe: probe}
				w := waiting{gate: Gate{Timeout: time.Minute, Bake: time.Minute}, probe: a.try, process: a, began: a.began}
				err := w.wait(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnhealthy) {
					t.Errorf("wait = %v, want the deadline and not unhealthy", err)
				}
				if time.Since(a.began) != 10*time.Second {
					t.Errorf("took %v, want 10s", time.Since(a.began))
				}
				if strings.Contains(err.Error(), "refused") != (name == "red") {
					t.Errorf("error %q", err)
				}
			})
		})
	}
}

// A try that the caller's deadline cut short is no failure of the app.
func TestContextEndsATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w := waiting{gate: Gate{Timeout: time.Second}, probe: hang, process: &app{}, began: time.Now()}
		if err := w.wait(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnhealthy) {
			t.Errorf("wait = %v, want the deadline and not unhealthy", err)
		}
	})
}

// In two minutes of tries a change must be noticed soon, without too many requests.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Duration
		a := &app{began: time.Now(), probe: func(at time.Duration) error {
			tries = append(tries, at)
			return errRefused
		}}
		w := waiting{gate: Gate{Timeout: 2 * time.Minute}, probe: a.try, process: a, began: a.began}
		checkUnhealthy(t, w.wait(t.Context()), "refused")
		if len(tries) > 160 || w.report.Attempts != len(tries) {
			t.Errorf("%d tries, reported %d; want at most 160", len(tries), w.report.Attempts)
		}
		for i, at := range tries[1:] {
			if gap := at - tries[i]; gap > max(tries[i]/10, minPause) || gap > maxPause {
				t.Fatalf("paused %v after %v", gap, tries[i])
			}
		}
	})
}
