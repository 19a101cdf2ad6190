package report

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// synctest begins every bubble at this time.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// journal is an observer that keeps every event.
type journal struct{ events []Event }

func (j *journal) observe(e Event) { j.events = append(j.events, e) }

func (j *journal) of(kind Kind) []Event {
	return slices.DeleteFunc(slices.Clone(j.events), func(e Event) bool { return e.Kind != kind })
}

// pass lets time go by; in a bubble it costs none.
func pass(d time.Duration) { <-time.After(d) }

func wait(d time.Duration) func(context.Context, *Span) error {
	return func(context.Context, *Span) error { pass(d); return nil }
}

func TestDoRecordsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		line := NewTimeline(j.observe)
		pass(2 * time.Second)
		boom := errors.New("connection\nreset \x1b[31mby peer")
		err := line.Do(t.Context(), "fe\x1b[1mtch\n", func(_ context.Context, s *Span) error {
			s.SetTotal(100)
			s.Attempt()
			s.AddBytes(40)
			s.Attempt()
			s.AddBytes(2)
			s.Note("second\tsource")
			pass(1500 * time.Millisecond)
			return boom
		})
		if !errors.Is(err, boom) || err.Error() != boom.Error() {
			t.Errorf("Do = %v, want the function's own error", err)
		}
		want := Step{
			Name: "fetch", Started: epoch.Add(2 * time.Second), MS: 1500, Bytes: 42, Attempts: 2,
			Error: "connection reset by peer", Note: "second source",
		}
		if got := line.Steps(); !reflect.DeepEqual(got, []Step{want}) {
			t.Errorf("steps\n got %+v\nwant %+v", got, want)
		}
		begun := Step{Name: "fetch", Started: want.Started, Attempts: 1}
		events := []Event{
			{Kind: Started, Number: 1, Step: begun},
			{Kind: Finished, Number: 1, Step: want, Total: 100},
		}
		if !reflect.DeepEqual(j.events, events) {
			t.Errorf("events\n got %+v\nwant %+v", j.events, events)
		}
	})
}

func TestAttempts(t *testing.T) {
	tests := map[string]struct {
		f    func(*Span)
		want int
	}{
		"not counted":   {func(*Span) {}, 1},
		"one":           {func(s *Span) { s.Attempt() }, 1},
		"three":         {func(s *Span) { s.Attempt(); s.Attempt(); s.Attempt() }, 3},
		"set":           {func(s *Span) { s.SetAttempts(7) }, 7},
		"set then more": {func(s *Span) { s.SetAttempts(7); s.Attempt() }, 8},
		"set to none":   {func(s *Span) { s.SetAttempts(0) }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			line := NewTimeline(nil)
			_ = line.Do(t.Context(), "x", func(_ context.Context, s *Span) error { test.f(s); return nil })
			if got := line.Steps()[0].Attempts; got != test.want {
				t.Errorf("attempts %d, want %d", got, test.want)
			}
		})
	}
}

func TestDoPassesContext(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	_ = NewTimeline(nil).Do(ctx, "x", func(ctx context.Context, _ *Span) error {
		if ctx.Value(key{}) != "mine" {
			t.Error("the function got another context")
		}
		return nil
	})
}

func TestProgressIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		line := NewTimeline(j.observe)
		_ = line.Do(t.Context(), "fetch", func(_ context.Context, s *Span) error {
			for range 2000 {
				pass(time.Millisecond)
				s.AddBytes(10)
			}
			return nil
		})
		progress := j.of(Progress)
		if len(progress) != 20 {
			t.Fatalf("%d progress events in 2 s, want 20", len(progress))
		}
		for i, e := range progress {
			if ms := int64(100 * (i + 1)); e.Step.MS != ms || e.Step.Bytes != 10*ms {
				t.Errorf("progress %d: %d ms, %d bytes, want %d ms and 10 bytes for each", i, e.Step.MS, e.Step.Bytes, ms)
			}
		}
		if last := j.events[len(j.events)-1]; last.Kind != Finished || last.Step.Bytes != 20000 {
			t.Errorf("last event %+v, want Finished with every byte", last)
		}
	})
}

// A step's workers must not wait for a terminal that hangs.
func TestProgressDoesNotWaitForObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		line := NewTimeline(func(e Event) {
			if e.Kind == Progress {
				<-release
			}
		})
		_ = line.Do(t.Context(), "fetch", func(_ context.Context, s *Span) error {
			go func() { pass(time.Second); s.AddBytes(1) }() // its event hangs in the observer
			pass(2 * time.Second)
			s.AddBytes(1)
			if got := line.Steps()[0]; got.Bytes != 2 || got.MS != 2000 {
				t.Errorf("step %+v, want 2 bytes in 2000 ms although the observer hangs", got)
			}
			close(release)
			return nil
		})
	})
}

func TestNestedAndParallelSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		line := NewTimeline(j.observe)
		_ = line.Do(t.Context(), "install", func(ctx context.Context, _ *Span) error {
			pass(time.Second)
			var group sync.WaitGroup
			group.Go(func() { _ = line.Do(ctx, "fetch", wait(3*time.Second)) })
			pass(time.Second)
			group.Go(func() { _ = line.Do(ctx, "unpack", wait(time.Second)) })
			group.Wait()
			return nil
		})
		var got []string
		for _, s := range line.Steps() {
			got = append(got, fmt.Sprint(s.Name, " ", s.Started.Sub(epoch), " ", s.MS))
		}
		if want := []string{"install 0s 4000", "fetch 1s 3000", "unpack 2s 1000"}; !slices.Equal(got, want) {
			t.Errorf("steps %q, want %q", got, want)
		}
		var order []string
		for _, e := range j.events {
			order = append(order, fmt.Sprintf("%d %d %s", e.Kind, e.Number, e.Step.Name))
		}
		want := []string{"1 1 install", "1 2 fetch", "1 3 unpack", "3 3 unpack", "3 2 fetch", "3 1 install"}
		if !slices.Equal(order, want) {
			t.Errorf("events %q, want %q", order, want)
		}
	})
}

func TestManyWorkers(t *testing.T) {
	var j journal // appends without a lock: the race detector sees concurrent calls
	line := NewTimeline(j.observe)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_ = line.Do(t.Context(), "part", func(_ context.Context, s *Span) error {
				var workers sync.WaitGroup
				for range 8 {
					workers.Go(func() {
						for range 500 {
							s.AddBytes(3)
							s.Attempt()
						}
						line.Steps()
					})
				}
				workers.Wait()
				return nil
			})
		})
	}
	group.Wait()
	for i, s := range line.Steps() {
		if s.Bytes != 12000 || s.Attempts != 4000 {
			t.Errorf("step %d: %d bytes, %d attempts, want 12000 and 4000", i+1, s.Bytes, s.Attempts)
		}
	}
	if started, finished := len(j.of(Started)), len(j.of(Finished)); started != 8 || finished != 8 {
		t.Errorf("%d started, %d finished, want 8 each", started, finished)
	}
}

func TestPanicClosesStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		line := NewTimeline(j.observe)
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v, want the panic to pass", r)
				}
			}()
			_ = line.Do(t.Context(), "unpack", func(context.Context, *Span) error {
				pass(time.Second)
				panic("boom")
			})
		}()
		pass(time.Second)
		if s := line.Steps()[0]; s.Error != "panicked" || s.MS != 1000 {
			t.Errorf("step %+v, want it closed after 1000 ms as panicked", s)
		}
		if len(j.of(Finished)) != 1 {
			t.Errorf("events %+v, want one Finished", j.events)
		}
	})
}

func TestFinishedStepIsFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		line := NewTimeline(j.observe)
		var stray *Span
		_ = line.Do(t.Context(), "fetch", func(_ context.Context, s *Span) error { stray = s; return nil })
		pass(time.Second)
		stray.AddBytes(1)
		stray.SetTotal(1)
		stray.SetAttempts(9)
		stray.Note("late")
		stray.progress() // as a worker that was overtaken between counting and telling
		want := Step{Name: "fetch", Started: epoch, Attempts: 1}
		if got := line.Steps()[0]; got != want {
			t.Errorf("step %+v, want %+v", got, want)
		}
		if len(j.events) != 2 {
			t.Errorf("events %+v, want nothing after Finished", j.events)
		}
	})
}

func TestObserverMayAskForSteps(t *testing.T) {
	var counts []int
	var line *Timeline
	line = NewTimeline(func(Event) { counts = append(counts, len(line.Steps())) })
	_ = line.Do(t.Context(), "a", wait(0))
	_ = line.Do(t.Context(), "b", wait(0))
	if !slices.Equal(counts, []int{1, 1, 2, 2}) {
		t.Errorf("steps seen by the observer: %v", counts)
	}
}

func TestFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := NewTimeline(nil)
		pass(500 * time.Millisecond)
		_ = line.Do(t.Context(), "resolve", func(context.Context, *Span) error {
			pass(time.Second)
			r := Report{App: "web"}
			line.Fill(&r)
			want := Report{App: "web", Started: epoch, MS: 1500, Steps: []Step{
				{Name: "resolve", Started: epoch.Add(500 * time.Millisecond), MS: 1000, Attempts: 1},
			}}
			if !reflect.DeepEqual(r, want) {
				t.Errorf("report in the middle of a step\n got %+v\nwant %+v", r, want)
			}
			return nil
		})
	})
}

// Ranged requests are no attempts, unless the step failed.
func TestTries(t *testing.T) {
	for _, test := range []struct {
		step Step
		want string
	}{
		{Step{Attempts: 1, Bytes: 5}, ""},
		{Step{Attempts: 6, Bytes: 5}, "6 requests"},
		{Step{Attempts: 6, Bytes: 5, Error: "reset"}, "6 attempts"},
		{Step{Attempts: 12}, "12 attempts"},
		{Step{Attempts: -7}, ""},
	} {
		if got := test.step.Tries(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.step, got, test.want)
		}
	}
}
