package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/drain"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

var terminated = notice.Notice{Reason: notice.Terminated, ID: "terminated"}

// serving is a world whose app is in service, in fake time.
func serving(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.boot(); err != nil {
			t.Fatal(err)
		}
		w.hook, w.inState = "koboshi-terminating", "Terminating:Wait"
		w.signals, w.story = nil, nil
		f(t, w)
	})
}

func (w *world) drain(o agent.DrainOptions) (report.Report, error) {
	return w.drainUntil(w.t.Context(), o)
}

func (w *world) drainUntil(ctx context.Context, o agent.DrainOptions) (report.Report, error) {
	return w.run(ctx, func(a *agent.Agent, ctx context.Context) (report.Report, error) { return a.Drain(ctx, o) })
}

func (w *world) record() drain.Record {
	w.t.Helper()
	record, warning, err := drain.Load(w.open("state"))
	if warning != nil || err != nil {
		w.t.Fatal(warning, err)
	}
	return record
}

func TestDrain(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		rep, err := w.drain(agent.DrainOptions{Notice: terminated})
		if err != nil || rep.Verdict != report.Drained || rep.Drain.Reason != "terminated" || rep.Lifecycle.Hook != "koboshi-terminating" {
			t.Errorf("%v, %+v", err, rep)
		}
		if w.running != "" || !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) || !slices.Equal(w.story, []string{"stop 1"}) {
			t.Errorf("running %q, signals %v, story %v", w.running, w.signals, w.story)
		}
		var steps []string
		for _, s := range rep.Steps {
			steps = append(steps, s.Name)
		}
		if got := strings.Join(steps, " "); got != "discover configure notice let-go pre_stop stop flush complete" {
			t.Errorf("the steps are %s", got)
		}
		if r := w.record(); r.Open() || !r.Told || !r.Stopped {
			t.Errorf("the record is %+v", r)
		}
	})
}

// Whatever else would run on a machine that is drained is refused, and nothing is
// started by it.
func TestLeaving(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		if _, err := w.drain(agent.DrainOptions{Notice: terminated}); err != nil {
			t.Fatal(err)
		}
		w.signals, w.story = nil, nil
		for name, run := range map[string]func() (report.Report, error){"boot": w.boot, "sync": w.sync, "rollback": w.rollback} {
			if _, err := run(); !errors.Is(err, state.ErrLeaving) || failure.CodeOf(err) != failure.Locked {
				t.Errorf("%s: %v, want ErrLeaving", name, err)
			}
		}
		if len(w.signals) > 0 || w.running != "" || len(w.story) > 0 {
			t.Errorf("running %q, signals %v, story %v", w.running, w.signals, w.story)
		}
	})
}

// A run under way ends within two seconds, wherever it is.
func TestARunUnderWayEnds(t *testing.T) {
	for _, where := range []string{"pointer", "manifest", "content", "spread"} {
		serving(t, func(t *testing.T, w *world) {
			w.release("2")
			if where == "spread" {
				w.spreadSeconds = 3600
				w.release("3")
			} else {
				w.silent = where
			}
			type end struct {
				err error
				at  time.Time
			}
			done := make(chan end)
			go func() {
				_, err := w.run(t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
					return a.Sync(ctx, agent.SyncOptions{Spread: where == "spread"})
				})
				done <- end{err, time.Now()}
			}()
			synctest.Wait()
			begun := time.Now()
			if _, err := w.drain(agent.DrainOptions{Notice: terminated}); err != nil {
				t.Errorf("%s: the drain: %v", where, err)
			}
			if sync := <-done; !errors.Is(sync.err, state.ErrLeaving) || sync.at.Sub(begun) > 2*time.Second {
				t.Errorf("%s: the sync ended after %v with %v", where, sync.at.Sub(begun), sync.err)
			}
			if w.running != "" {
				t.Errorf("%s: %s runs", where, w.running)
			}
		})
	}
}

// A launch that is drained completes no action of its own.
func TestALaunchThatIsTerminated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.silent = "content"
		done := make(chan error)
		go func() { _, err := w.boot(); done <- err }()
		synctest.Wait()
		w.inState, w.hook = "Terminating:Wait", "koboshi-terminating"
		if _, err := w.drain(agent.DrainOptions{Notice: terminated}); err != nil {
			t.Errorf("the drain: %v", err)
		}
		if err := <-done; !errors.Is(err, state.ErrLeaving) {
			t.Errorf("the boot: %v", err)
		}
		if !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("signals %v, want the drain's alone", w.signals)
		}
	})
}

// After a reboot in the middle nothing is started, and the drain goes on.
func TestARebootDuringADrain(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		w.beatErr = lifecycle.ErrNoAction
		time.AfterFunc(20*time.Second, cancel)
		_, err := w.drainUntil(ctx, agent.DrainOptions{Notice: terminated})
		if !errors.Is(err, context.Canceled) || !w.record().Open() || w.running == "" {
			t.Fatalf("%v, the record is %+v, running %q", err, w.record(), w.running)
		}
		w.reboot()
		if _, err := w.boot(); !errors.Is(err, state.ErrLeaving) || w.running != "" {
			t.Errorf("the boot: %v, running %q", err, w.running)
		}
		w.beatErr = nil
		if rep, err := w.drain(agent.DrainOptions{}); err != nil || rep.Drain.Reason != "terminated" {
			t.Errorf("the drain: %v, %+v", err, rep.Drain)
		}
		if !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) {
			t.Errorf("signals %v", w.signals)
		}
	})
}

// reboot loses what is in memory.
func (w *world) reboot() {
	w.t.Helper()
	w.running, w.bootID, w.since = "", "two", time.Now()
	if err := os.RemoveAll(filepath.Join(w.dir, "run")); err != nil {
		w.t.Fatal(err)
	}
}

// An instance that a Spot interruption only stops comes back, and serves.
func TestASpotStopComesBack(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = w.drainUntil(ctx, agent.DrainOptions{Notice: notice.Notice{Reason: notice.Spot, ID: "spot", Returns: true}})
		if !w.record().Open() {
			t.Fatalf("the record is %+v", w.record())
		}
		w.reboot()
		if _, err := w.boot(); err != nil || w.running != "1" {
			t.Errorf("the boot: %v, running %q", err, w.running)
		}
	})
}

// An instance that is to be terminated does not start its app after a reboot, with or
// without a drain.
func TestARebootOfAnInstanceThatLeaves(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		w.target = "Terminated"
		w.reboot()
		w.firmwareID = self
		if _, err := w.boot(); !errors.Is(err, state.ErrLeaving) || w.running != "" {
			t.Errorf("the boot: %v, running %q", err, w.running)
		}
	})
}

func TestUndo(t *testing.T) {
	byHand := notice.Notice{Reason: notice.Operator, ID: "operator"}
	tests := map[string]struct {
		notice  notice.Notice
		target  string
		running string
		code    failure.Code
	}{
		"by hand":          {byHand, "InService", "1", failure.OK},
		"told already":     {terminated, "InService", "", failure.Usage},
		"still to be left": {byHand, "Terminated", "", failure.Usage},
	}
	for name, tt := range tests {
		serving(t, func(t *testing.T, w *world) {
			if _, err := w.drain(agent.DrainOptions{Notice: tt.notice}); err != nil {
				t.Fatal(err)
			}
			w.target = tt.target
			_, err := w.run(t.Context(), (*agent.Agent).Undo)
			if code := failure.CodeOf(err); code != tt.code || w.running != tt.running {
				t.Errorf("%s: %v, running %q, want code %d, running %q", name, err, w.running, tt.code, tt.running)
			}
		})
	}
}

// What is not known of the group or of the machine keeps nothing from being drained.
func TestDrainWithoutMuch(t *testing.T) {
	tests := map[string]struct {
		set     func(*world)
		code    failure.Code
		signals int
	}{
		"metadata is away":     {func(w *world) { w.identityErr = instance.ErrUnreachable; w.tags = nil }, failure.OK, 1},
		"no group is found":    {func(w *world) { w.tags = nil; w.groupErr = func() error { return lifecycle.ErrDenied } }, failure.Lifecycle, 0},
		"no such hook":         {func(w *world) { w.hookErr = lifecycle.ErrNoHook }, failure.OK, 0},
		"completing is denied": {func(w *world) { w.completeErr = lifecycle.ErrDenied }, failure.Lifecycle, 1},
	}
	for name, tt := range tests {
		serving(t, func(t *testing.T, w *world) {
			tt.set(w)
			events := make(chan drain.Event, 1)
			if name == "no such hook" || name == "no group is found" { // nothing lets it go
				time.AfterFunc(time.Minute, func() { events <- drain.Event{Kind: drain.Shutdown, In: time.Minute} })
			}
			rep, err := w.drain(agent.DrainOptions{Notice: terminated, Events: events})
			if failure.CodeOf(err) != tt.code || len(w.signals) != tt.signals || rep.Verdict != report.Drained || w.running != "" {
				t.Errorf("%s: %v (%d), signals %v, %s, running %q", name, err, failure.CodeOf(err), w.signals, rep.Verdict, w.running)
			}
		})
	}
}

func TestTwoDrains(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		w.beatErr = lifecycle.ErrNoAction
		done := make(chan error)
		go func() { _, err := w.drain(agent.DrainOptions{Notice: terminated}); done <- err }()
		synctest.Wait()
		if _, err := w.drain(agent.DrainOptions{Notice: terminated}); !errors.Is(err, state.ErrLocked) {
			t.Errorf("the second drain: %v", err)
		}
		w.beatErr = nil
		w.pass()
		if err := <-done; err != nil {
			t.Errorf("the first drain: %v", err)
		}
	})
}

// A Spot notice bounds a drain by hand as it does one of the watch.
func TestDrainByHandBeforeASpotInterruption(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		for off, most := range map[time.Duration]time.Duration{time.Minute: time.Minute, time.Hour: 2 * time.Minute, -time.Hour: 2 * time.Minute} {
			n := notice.Notice{Reason: notice.Spot, ID: "spot " + off.String(), Until: w.now.Add(off)}
			rep, err := w.drain(agent.DrainOptions{Notice: n})
			if err != nil || rep.Drain.Deadline.Sub(rep.Drain.Noticed) > most {
				t.Errorf("in %v: %v, deadline %v, noticed %v", off, err, rep.Drain.Deadline, rep.Drain.Noticed)
			}
		}
	})
}

// A group that cannot be looked up for a minute is one whose lifecycle hook waits.
func TestDrainFindsItsGroupLate(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		w.tags = nil
		failing := true
		w.groupErr = func() error {
			if failing {
				return errors.New("throttled")
			}
			return nil
		}
		w.later(2*time.Minute, func() { failing = false })
		rep, err := w.drain(agent.DrainOptions{Notice: terminated})
		if err != nil || !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) || rep.Lifecycle.Hook == "" || w.running != "" {
			t.Errorf("%v, signals %v, %+v", err, w.signals, rep.Lifecycle)
		}
	})
}

// What else asks reads why it is refused, also where a drain was gone on with.
func TestLeavingHasAReason(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		w.beatErr = lifecycle.ErrNoAction
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(12*time.Second, cancel)
		_, _ = w.drainUntil(ctx, agent.DrainOptions{Notice: terminated})
		w.beatErr = nil
		if _, err := w.drain(agent.DrainOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.sync(); err == nil || !strings.HasSuffix(err.Error(), "drained: terminated") {
			t.Errorf("a sync is refused with %v", err)
		}
	})
}

// A lifecycle action that is left to someone else is also left by the process that goes on with
// the drain; and a run that is refused meanwhile calls no one.
func TestAnActionThatIsLeftToSomeoneElse(t *testing.T) {
	serving(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		w.stopTime = 10 * time.Second
		time.AfterFunc(5*time.Second, cancel)
		_, _ = w.drainUntil(ctx, agent.DrainOptions{Notice: terminated, NoComplete: true, Events: shutdownIn(time.Second)})
		if !w.record().Open() {
			t.Fatalf("the record is %+v", w.record())
		}
		w.notified = nil
		if _, err := w.sync(); !errors.Is(err, state.ErrLeaving) || len(w.notified) > 0 {
			t.Errorf("a sync: %v, notified %q", err, w.notified)
		}
		if _, err := w.drain(agent.DrainOptions{}); err != nil || len(w.signals) > 0 || w.running != "" {
			t.Errorf("%v, signals %v, running %q", err, w.signals, w.running)
		}
	})
}

// shutdownIn is a shutdown of the machine after a time.
func shutdownIn(d time.Duration) <-chan drain.Event {
	events := make(chan drain.Event, 1)
	time.AfterFunc(d, func() { events <- drain.Event{Kind: drain.Shutdown, In: time.Minute} })
	return events
}

// The firmware says who an instance is that was never healthy, where metadata does not.
func TestDrainOfALaunchWithoutMetadata(t *testing.T) {
	for id, want := range map[string]failure.Code{self: failure.Lifecycle, "": failure.Metadata} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.identityErr, w.firmwareID, w.running = instance.ErrUnreachable, id, "1"
			_, err := w.drain(agent.DrainOptions{Notice: terminated})
			if failure.CodeOf(err) != want || (w.running == "") != (id != "") {
				t.Errorf("%q: %v, running %q", id, err, w.running)
			}
		})
	}
}
