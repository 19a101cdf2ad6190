package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/drain"
	"koboshi/agent/flush"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
)

// sky is the metadata and the machine around a watch, in a world's fake time.
type sky struct {
	*world
	mu        sync.Mutex
	levels    notice.Levels
	away      error
	looks     int
	relaunchs int
	drains    []string // verdict and code of each
	warnings  []string
	stopping  bool
	clockSet  chan struct{}
	stop      context.CancelFunc
	done      chan error
}

// watched is a world that is watched.
func watched(t *testing.T, f func(*testing.T, *sky)) {
	t.Helper()
	serving(t, func(t *testing.T, w *world) {
		s := &sky{world: w, levels: notice.Levels{Target: "InService"}}
		s.watch()
		f(t, s)
		s.end()
	})
}

func (s *sky) watch() {
	ctx, stop := context.WithCancel(s.t.Context())
	s.stop, s.done = stop, make(chan error, 1)
	go func() { s.done <- s.agent().Watch(ctx, s.options()) }()
	s.after(0)
}

func (s *sky) options() agent.WatchOptions {
	return agent.WatchOptions{
		Notices:  s,
		ClockSet: s.clockSet,
		Stopping: func(context.Context) bool { return s.stopping },
		Relaunch: func(context.Context) error { s.relaunchs++; return nil },
		Alive: func(string) {
			s.gate.Lock()
			defer s.gate.Unlock()
			s.looks++
		},
		Ended: func(r report.Report, err error) {
			s.gate.Lock()
			defer s.gate.Unlock()
			s.drains = append(s.drains, strings.TrimSpace(fmt.Sprint(r.Verdict, " ", r.Drain.Reason)))
		},
		Warn: func(f string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.warnings = append(s.warnings, fmt.Sprintf(f, args...))
		},
	}
}

func (s *sky) end() {
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Errorf("Watch: %v", err)
	}
	s.done <- nil
}

// after lets that much time pass, and everything happen that is due.
func (s *sky) after(d time.Duration) {
	s.pass()
	<-time.After(d)
	synctest.Wait()
}

func (s *sky) now(l notice.Levels) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.levels = l
}

func (s *sky) read() (notice.Levels, error) {
	s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.levels, s.away
}

func (s *sky) TargetState(context.Context) (string, error) { l, err := s.read(); return l.Target, err }
func (s *sky) SpotAction(context.Context) (instance.SpotAction, error) {
	l, err := s.read()
	return l.Spot, err
}
func (s *sky) Rebalance(context.Context) (time.Time, error) {
	l, err := s.read()
	return l.Rebalance, err
}

func (s *sky) expect(running string, drains ...string) {
	s.t.Helper()
	if s.running != running || !slices.Equal(s.drains, drains) {
		s.t.Errorf("running %q, drains %q, want %q, %q; warnings %q", s.running, s.drains, running, drains, s.warnings)
	}
}

func TestWatchDrainsOnce(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Hour)
		s.expect("", "drained terminated")
		if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("signals %v", s.signals)
		}
		if s.looks < 720 || s.looks > 725 {
			t.Errorf("%d looks in an hour", s.looks)
		}
		s.end()
		s.watch() // another process, the same notice
		s.after(time.Hour)
		s.expect("", "drained terminated")
	})
}

// Metadata that is away, or says what it would not, is no notice and takes none back.
func TestWatchWithoutMetadata(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.mu.Lock()
		s.away = instance.ErrUnreachable
		s.mu.Unlock()
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		s.expect("1")
		if len(s.warnings) != 1 {
			t.Errorf("warnings %q, want one", s.warnings)
		}
	})
}

func TestWatchGoesOnWithADrain(t *testing.T) {
	for name, stopped := range map[string]time.Duration{"let-go": 12 * time.Second} {
		watched(t, func(t *testing.T, s *sky) {
			s.beatErr = lifecycle.ErrNoAction
			s.now(notice.Levels{Target: "Terminated"})
			s.after(stopped)
			s.end()
			if r := s.record(); !r.Open() || r.Step != name {
				t.Fatalf("the record is %+v", r)
			}
			s.beatErr = nil
			s.now(notice.Levels{}) // metadata has nothing yet, the disk has
			s.away = instance.ErrUnreachable
			s.watch()
			s.after(time.Minute)
			s.expect("", "failed terminated", "drained terminated")
		})
	}
}

func TestWatchWithdraws(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.beatErr = lifecycle.ErrNoAction
		for range 3 { // a target that flaps
			s.now(notice.Levels{Target: "Terminated"})
			s.after(12 * time.Second)
			s.now(notice.Levels{Target: "InService"})
			s.after(12 * time.Second)
		}
		s.expect("1", "current terminated", "current terminated", "current terminated")
		if r := s.record(); r != (drain.Record{}) {
			t.Errorf("the record is %+v", r)
		}
		if _, err := s.sync(); err != nil {
			t.Errorf("a sync afterwards: %v", err)
		}
		if len(s.signals) > 0 || s.restarts != 1 || s.relaunchs > 0 {
			t.Errorf("signals %v, restarts %d, boots %d", s.signals, s.restarts, s.relaunchs)
		}
	})
}

func TestWatchSpot(t *testing.T) {
	tests := map[string]struct {
		clock time.Duration // of the machine, off
		in    time.Duration // when the notice ends the instance
		most  time.Duration
	}{
		"in two minutes":            {0, 2 * time.Minute, 5 * time.Second},
		"the clock is an hour fast": {time.Hour, 2 * time.Minute, 5 * time.Second},
		"the clock is an hour slow": {-time.Hour, 2 * time.Minute, 5 * time.Second},
	}
	for name, tt := range tests {
		watched(t, func(t *testing.T, s *sky) {
			end := s.world.now.Add(tt.in)
			s.world.now = s.world.now.Add(tt.clock)
			s.now(notice.Levels{Target: "InService", Spot: instance.SpotAction{Action: "terminate", Time: end}})
			s.after(tt.most)
			s.expect("", "drained spot")
			if len(s.signals) > 0 {
				t.Errorf("%s: signals %v: the group has not decided", name, s.signals)
			}
			s.now(notice.Levels{Target: "Terminated", Spot: instance.SpotAction{Action: "terminate", Time: end}})
			s.after(time.Minute)
			s.expect("", "drained spot", "drained terminated")
			if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) {
				t.Errorf("%s: signals %v", name, s.signals)
			}
		})
	}
}

// A Spot notice in the middle of a drain leaves it the less time.
func TestWatchSpotDuringADrain(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.beatErr = lifecycle.ErrNoAction
		s.now(notice.Levels{Target: "Terminated"})
		s.after(12 * time.Second)
		s.now(notice.Levels{Target: "Terminated", Spot: instance.SpotAction{Action: "terminate", Time: s.world.now.Add(2 * time.Minute)}})
		s.after(2 * time.Minute)
		s.expect("", "drained terminated")
	})
}

// A notice that stands is not acted on again where a person has brought the app back.
func TestWatchAfterAnUndo(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		spot := instance.SpotAction{Action: "terminate", Time: s.world.now.Add(2 * time.Minute)}
		s.now(notice.Levels{Target: "InService", Spot: spot})
		s.after(time.Minute)
		if _, err := s.run(t.Context(), (*agent.Agent).Undo); err != nil {
			t.Fatal(err)
		}
		s.end()
		s.watch() // another process
		s.after(time.Minute)
		s.expect("1", "drained spot")
		s.now(notice.Levels{Target: "Terminated", Spot: spot})
		s.after(5 * time.Minute)
		s.expect("", "drained spot", "drained terminated")
	})
}

const aFlush = "[drain.flush.app]\nkind = \"wait\"\nfor = \"1s\"\n"

func TestWatchShutdown(t *testing.T) {
	tests := map[string]struct {
		before   notice.Levels
		flush    string
		stopping bool
		want     []string
	}{
		"power-off":                {notice.Levels{Target: "InService"}, aFlush, true, []string{"drained shutdown"}},
		"nothing to flush":         {notice.Levels{Target: "InService"}, "", true, nil},
		"the watch is stopped":     {notice.Levels{Target: "InService"}, aFlush, false, nil},
		"power-off during a drain": {notice.Levels{Target: "Terminated"}, "", true, []string{"drained terminated"}},
		"power-off after a drain":  {notice.Levels{Target: "Terminated"}, aFlush, true, []string{"drained terminated"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			serving(t, func(t *testing.T, w *world) {
				w.flush = tt.flush
				s := &sky{world: w, levels: notice.Levels{Target: "InService"}}
				s.watch()
				if name != "power-off after a drain" {
					s.beatErr = lifecycle.ErrNoAction
				}
				s.now(tt.before)
				s.after(12 * time.Second)
				if name == "power-off after a drain" {
					s.after(time.Minute)
				}
				s.stopping = tt.stopping
				if tt.stopping {
					s.running = "" // by systemd
				}
				begun := time.Now()
				s.end()
				if took := time.Since(begun); took > time.Minute {
					t.Errorf("the end took %v", took)
				}
				s.expect(s.running, tt.want...)
				if r := s.record(); name == "power-off" && r != (drain.Record{}) {
					t.Errorf("the record is %+v: the next boot would start nothing", r)
				}
			})
		})
	}
}

// slowShipper takes its time.
type slowShipper struct{ drain.Flusher }

func (slowShipper) Name() string           { return "app" }
func (slowShipper) Kind() string           { return "wait" }
func (slowShipper) Before(context.Context) {}
func (slowShipper) Close()                 {}
func (slowShipper) Await(ctx context.Context) flush.Answer {
	select {
	case <-ctx.Done():
		return flush.Answer{Outcome: flush.Unknown}
	case <-time.After(50 * time.Second):
		return flush.Answer{Outcome: flush.Done}
	}
}

// systemd's watchdog counts on to the end of the flush.
func TestWatchIsAliveToTheEnd(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		w.flush = aFlush
		s := &sky{world: w, levels: notice.Levels{Target: "InService"}, stopping: true}
		a := s.agent()
		a.Flushers = func(*config.Config) ([]drain.Flusher, error) { return []drain.Flusher{slowShipper{}}, nil }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Watch(ctx, s.options()) }()
		s.after(12 * time.Second)
		looks := s.looks
		stop()
		if err := <-done; err != nil || s.looks-looks < 9 {
			t.Errorf("in 50 s the watch was alive %d times (%v)", s.looks-looks, err)
		}
		s.expect("", "drained shutdown")
	})
}

func TestWatchUnknownTarget(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		s.inState = "Terminating:Wait"
		s.now(notice.Levels{Target: "Recycled"})
		s.after(time.Minute)
		s.expect("", "drained terminated")
		if n := len(s.warnings); n != 1 || !strings.Contains(s.warnings[0], "Recycled") {
			t.Errorf("warnings %q, want one", s.warnings)
		}
	})
	watched(t, func(t *testing.T, s *sky) {
		s.inState = "InService"
		s.now(notice.Levels{Target: "Recycled"})
		s.after(time.Minute)
		s.expect("1")
	})
}

func TestWatchAnInstanceThatRests(t *testing.T) {
	for _, target := range []string{"Standby", "Detached", "", "InService"} {
		watched(t, func(t *testing.T, s *sky) {
			s.now(notice.Levels{Target: target})
			s.after(time.Minute)
			s.expect("1")
		})
	}
}

func TestTwoWatches(t *testing.T) {
	watched(t, func(t *testing.T, s *sky) {
		ctx, stop := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() { second <- s.agent().Watch(ctx, s.options()) }()
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		s.expect("", "drained terminated")
		if !slices.Equal(s.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("signals %v", s.signals)
		}
		if s.looks > 30 {
			t.Errorf("%d looks in a minute: one of them does not wait for the other", s.looks)
		}
		stop()
		if err := <-second; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v", err)
		}
	})
}
