package drain

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

	"koboshi/agent/flush"
	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/pace"
)

const self = "i-0123456789abcdef0"

var (
	ours  = lifecycle.Action{Group: "web", Hook: "koboshi-terminating", Instance: self}
	group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/6d0ecf831eec9f09"
)

// world is everything around one instance that is drained. Its switches are
// functions of the time since it was made.
type world struct {
	t     *testing.T
	begun time.Time
	boot  string
	mu    sync.Mutex
	log   []string // what was done
	kept  int      // heartbeats that were begun, less those that have ended
	alive bool     // they were kept up once
	saved []Record

	waits   func(time.Duration) bool // the lifecycle hook
	unused  func(time.Duration) bool // the target group
	state   string                   // of the instance, once the lifecycle action is not active
	denied  error                    // of every call of the balancer
	beat    error                    // of every heartbeat, instead of waits
	running bool
	stopErr error
	stops   time.Duration // how long stopping takes
	hangs   bool          // pre_stop
	full    bool          // the disk
	flushes flush.Answer
	slow    time.Duration // a flush
	beats   int
	closed  int // how often the shipper's files were let go
	told    string

	throttles    time.Duration // how long completing takes
	refusal      error         // of completing
	replyLost    bool          // of completing
	expires      time.Duration // the hook, after its wait began; 0 = never
	end          lifecycle.End // of completing; "" = as it comes
	deregistered []string      // the groups, and when
	warned       []string
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, begun: time.Now(), boot: "one", running: true, state: "Terminating:Proceed",
		waits: after(20 * time.Second), unused: after(10 * time.Second),
		flushes: flush.Answer{Outcome: flush.Done},
	}
}

func after(d time.Duration) func(time.Duration) bool {
	return func(t time.Duration) bool { return t >= d }
}

func never(time.Duration) bool { return false }

// later changes the world while a drain is under way.
func (w *world) later(d time.Duration, change func()) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		change()
	})
}

func (w *world) since() time.Duration { return time.Since(w.begun) }

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, what)
}

// warn notes a warning that was not there before, as a run does.
func (w *world) warn(f string, args ...any) {
	if text := fmt.Sprintf(f, args...); !slices.Contains(w.warned, text) || w.full {
		w.warned = append(w.warned, text)
		w.note("warning")
	}
}

func (w *world) keep(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept += n
	w.alive = true
}

// drain is a drain of this world for a notice.
func (w *world) drain(n notice.Notice) *Drain {
	clock := state.Clock{Boot: w.boot, Uptime: w.since}
	return &Drain{
		Record: Begin(self, n, 10*time.Minute, clock, time.Now()), Save: w.save, Clock: clock, Now: time.Now,
		Deadline: 10 * time.Minute, Reserve: time.Minute,
		Announce: func(context.Context) error { w.note("leaving"); return nil },
		Groups:   Groups{ARNs: []string{group}, Balancer: w},
		Action:   ours, Hooks: w, App: w, Flushers: []Flusher{w},
		Steps: report.NewTimeline(nil), Warn: w.warn, Report: &report.Drain{},
	}
}

func (w *world) save(r Record) error {
	if w.full {
		return errors.New("no space")
	}
	w.saved = append(w.saved, r)
	return nil
}

func (w *world) Deregister(_ context.Context, group, _ string) error {
	w.deregistered = append(w.deregistered, fmt.Sprint(group, " ", w.since()))
	if len(w.deregistered) == 1 {
		w.note("deregister")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.denied
}

func (w *world) Unused(context.Context, string, string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unused(w.since()), w.denied
}

func (w *world) Heartbeat(context.Context, lifecycle.Action) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beats++
	switch {
	case w.beat != nil:
		return w.beat
	case !w.waits(w.since()):
		return lifecycle.ErrNoAction
	}
	return nil
}

func (w *world) KeepAlive(ctx context.Context, _ lifecycle.Action, _ time.Duration, _ func(int, error)) {
	w.keep(1)
	<-ctx.Done()
	w.keep(-1)
}

func (w *world) Complete(ctx context.Context, a lifecycle.Action, result lifecycle.Result, _ func(context.Context) error) (lifecycle.Outcome, error) {
	for !w.waits(w.since()) {
		if w.state == "InService" {
			return lifecycle.Outcome{End: lifecycle.AlreadyOver, State: w.state}, nil
		}
		if err := pace.Sleep(ctx, time.Second); err != nil {
			return lifecycle.Outcome{}, err
		}
	}
	if err := pace.Sleep(ctx, w.throttles); err != nil {
		return lifecycle.Outcome{}, err
	}
	switch {
	case w.refusal != nil:
		return lifecycle.Outcome{}, w.refusal
	case w.end != "":
		return lifecycle.Outcome{End: w.end, State: w.state}, nil
	}
	if w.told != "" || w.expires > 0 && w.waits(w.since()-w.expires) {
		return lifecycle.Outcome{End: lifecycle.AlreadyOver, State: w.state}, nil
	}
	w.told = string(result)
	w.note(w.told)
	if w.replyLost {
		return lifecycle.Outcome{End: lifecycle.AlreadyOver, State: w.state}, nil
	}
	return lifecycle.Outcome{End: lifecycle.Completed}, nil
}

func (w *world) Running(context.Context) (bool, error) { return w.running, nil }

func (w *world) PreStop(ctx context.Context) (bool, error) {
	w.note("pre_stop")
	if w.hangs {
		<-ctx.Done()
		return true, context.Cause(ctx)
	}
	return true, nil
}

func (w *world) Stop(ctx context.Context) error {
	if pace.Sleep(ctx, w.stops) != nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if w.stopErr == nil {
		w.running = false
		w.note("stopped")
	}
	return w.stopErr
}

func (w *world) Before(context.Context) { w.note("before") }

func (w *world) Name() string { return "app" }
func (w *world) Kind() string { return "rsyslog" }

func (w *world) Close() { w.closed++ }

func (w *world) Look(context.Context) flush.Answer { return w.flushes }

func (w *world) Await(ctx context.Context) flush.Answer {
	if pace.Sleep(ctx, w.slow) != nil || ctx.Err() != nil {
		return flush.Answer{Outcome: flush.Left, Left: 100, Unit: flush.Bytes}
	}
	w.note("flushed")
	return w.flushes
}

// within says that the drain takes no more than that.
func (w *world) within(least, most time.Duration) {
	w.t.Helper()
	if took := w.since(); took < least || took > most {
		w.t.Errorf("took %v, want %v to %v", took, least, most)
	}
}

func (w *world) did(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, want) {
		w.t.Errorf("did\n%s\nwant\n%s", strings.Join(w.log, "\n"), strings.Join(want, "\n"))
	}
}

var terminated = notice.Notice{Reason: notice.Terminated, ID: "terminated"}

func TestDrain(t *testing.T) {
	whole := []string{"leaving", "pre_stop", "before", "stopped", "flushed", "CONTINUE"}
	tests := map[string]struct {
		set         func(*world, *Drain)
		did         []string
		least, most time.Duration
		err         error
	}{
		"scale-in": {func(*world, *Drain) {}, whole, 20 * time.Second, 45 * time.Second, nil},
		"the hook waits before the group is left": {func(w *world, d *Drain) {
			w.unused = after(time.Minute)
		}, whole, time.Minute, 90 * time.Second, nil},
		"no groups": {func(w *world, d *Drain) { d.Groups = Groups{} }, whole, 20 * time.Second, 45 * time.Second, nil},
		"no hook": {func(w *world, d *Drain) { d.Action = lifecycle.Action{} },
			[]string{"leaving", "pre_stop", "before", "stopped", "flushed"}, 10 * time.Second, 20 * time.Second, nil},
		"deregisters": {func(w *world, d *Drain) { d.Groups.Deregister = true },
			append([]string{"leaving", "deregister"}, whole[1:]...), 20 * time.Second, 45 * time.Second, nil},
		"the balancer refuses": {func(w *world, d *Drain) { w.denied = errors.New("denied"); d.Groups.Deregister = true },
			slices.Concat([]string{"leaving", "deregister", "warning", "warning"}, whole[1:]), 9 * time.Minute, 9 * time.Minute, nil},
		"the hook never waits": {func(w *world, d *Drain) { w.waits = never },
			[]string{"leaving", "warning", "pre_stop", "before", "stopped", "flushed"}, 12 * time.Minute, 12 * time.Minute, lifecycle.ErrNotCompleted},
		"a foreign hook": {func(w *world, d *Drain) { w.beat = lifecycle.ErrForeignHook; w.waits = after(0) },
			[]string{"leaving", "warning", "pre_stop", "before", "stopped", "flushed", "CONTINUE"}, 10 * time.Second, 20 * time.Second, nil},
		"in service for long": {func(w *world, d *Drain) {
			w.state, w.waits, w.beat = "InService", after(11*time.Minute), lifecycle.ErrNoAction
		}, []string{"leaving", "warning", "pre_stop", "before", "stopped", "flushed", "CONTINUE"}, 11 * time.Minute, 12 * time.Minute, nil},
		"nothing runs": {func(w *world, d *Drain) { w.running = false },
			[]string{"leaving", "flushed", "CONTINUE"}, 20 * time.Second, 45 * time.Second, nil},
		"pre_stop hangs": {func(w *world, d *Drain) { w.hangs = true },
			[]string{"leaving", "pre_stop", "warning", "before", "CONTINUE"}, 10 * time.Minute, 10 * time.Minute, ErrDeadline},
		"the app ignores SIGTERM": {func(w *world, d *Drain) { w.stopErr = errors.New("timeout"); w.stops = 90 * time.Second },
			[]string{"leaving", "pre_stop", "before", "flushed", "CONTINUE"}, 110 * time.Second, 135 * time.Second, ErrStop},
		"something is left": {func(w *world, d *Drain) { w.flushes = flush.Answer{Outcome: flush.Left, Left: 7} }, whole, 20 * time.Second, 45 * time.Second, ErrLeft},
		"something is lost": {func(w *world, d *Drain) { w.flushes = flush.Answer{Outcome: flush.Lost, Lost: 7} }, whole, 20 * time.Second, 45 * time.Second, ErrLeft},
		"cannot be told":    {func(w *world, d *Drain) { w.flushes = flush.Answer{Outcome: flush.Unknown} }, whole, 20 * time.Second, 45 * time.Second, ErrLeft},
		"a flush without end": {func(w *world, d *Drain) { w.slow = time.Hour },
			[]string{"leaving", "pre_stop", "before", "stopped", "CONTINUE"}, 10 * time.Minute, 10 * time.Minute, ErrDeadline},
		"the disk is full": {func(w *world, d *Drain) { w.full = true },
			[]string{"leaving", "warning", "warning", "warning", "warning", "warning", "warning", "warning", "warning"}, 0, time.Hour, nil},
		"spot": {func(w *world, d *Drain) {
			n := notice.Notice{Reason: notice.Spot, ID: "spot"}
			d.Record, d.Action = Begin(self, n, 110*time.Second, d.Clock, time.Now()), lifecycle.Action{}
			w.unused = never
		}, []string{"leaving", "warning", "pre_stop", "before", "stopped", "flushed"}, 55 * time.Second, 55 * time.Second, nil},
		"spot, and nothing lets go": {func(w *world, d *Drain) {
			n := notice.Notice{Reason: notice.Spot, ID: "spot"}
			d.Record, d.Action, d.Groups = Begin(self, n, 110*time.Second, d.Clock, time.Now()), lifecycle.Action{}, Groups{}
		}, []string{"leaving", "pre_stop", "before", "stopped", "flushed"}, 0, 0, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d := w.drain(terminated)
				tt.set(w, d)
				if err := d.Run(t.Context()); !errors.Is(err, tt.err) {
					t.Errorf("Run: %v, want %v", err, tt.err)
				}
				w.within(tt.least, tt.most)
				if w.full {
					slices.Sort(w.log)
					w.log = w.log[len(w.log)-1:]
					w.did("warning")
					if w.told == "" {
						t.Error("the group was not told")
					}
					return
				}
				w.did(tt.did...)
				if w.closed != 1 {
					t.Errorf("the log files were let go %d times", w.closed)
				}
				if last := w.saved[len(w.saved)-1]; last.Open() || last.Step != "complete" || last.Told != (w.told != "") {
					t.Errorf("the record is %+v", last)
				}
				if w.kept != 0 || w.told == "" && w.alive && tt.err == nil {
					t.Errorf("%d heartbeats go on, completed with %q", w.kept, w.told)
				}
				if w.beats > 6 && tt.err == nil && w.since() < 2*time.Minute {
					t.Errorf("%d heartbeats were tried", w.beats)
				}
			})
		})
	}
}

// Each target group has a delay of its own, so none waits for another; and what was
// refused once is tried again.
func TestDeregistersFromAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.drain(terminated)
		d.Groups = Groups{ARNs: []string{"a", "b"}, Deregister: true, Balancer: w}
		w.unused, w.denied = never, errors.New("throttled")
		w.later(time.Second, func() { w.denied = nil })
		w.later(time.Minute, func() { w.unused = after(0) })
		if err := d.Run(t.Context()); err != nil {
			t.Error(err)
		}
		w.within(time.Minute, 2*time.Minute)
		if len(w.deregistered) < 3 || !slices.Equal(w.deregistered[:2], []string{"a 0s", "b 0s"}) {
			t.Errorf("deregistered from %q", w.deregistered)
		}
	})
}

// A group that cannot be looked up at first is asked for again: the lifecycle action
// that waits is completed.
func TestAnActionThatIsFoundLate(t *testing.T) {
	tests := map[string]struct {
		err    error
		until  time.Duration
		found  lifecycle.Action
		told   string
		failed error
		most   time.Duration
	}{
		"throttled for a while": {errors.New("throttled"), 2 * time.Minute, ours, "CONTINUE", nil, 3 * time.Minute},
		"denied":                {lifecycle.ErrDenied, time.Hour, ours, "", lifecycle.ErrDenied, 10 * time.Minute},
		"in no group":           {errors.New("throttled"), time.Minute, lifecycle.Action{}, "", nil, 10 * time.Minute},
	}
	for name, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			d := w.drain(terminated)
			d.Groups, d.Action = Groups{}, lifecycle.Action{}
			d.Find = func(context.Context) (lifecycle.Action, error) {
				if w.since() < tt.until {
					return lifecycle.Action{}, tt.err
				}
				return tt.found, nil
			}
			if err := d.Run(t.Context()); !errors.Is(err, tt.failed) || w.told != tt.told || w.running {
				t.Errorf("%s: %v, completed with %q, running %v", name, err, w.told, w.running)
			}
			w.within(0, tt.most)
		})
	}
}

// A process that is stopped while the lifecycle hook does not wait yet ends at once:
// the next one completes it.
func TestStoppedWhileCompleting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.waits = after(time.Hour)
		d := w.drain(terminated)
		d.Record.Step = "complete"
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		if err := d.Run(ctx); !errors.Is(err, context.Canceled) || w.told != "" || !d.Record.Open() {
			t.Errorf("%v, completed with %q, the record is %+v", err, w.told, d.Record)
		}
		w.within(10*time.Second, 10*time.Second)
	})
}
