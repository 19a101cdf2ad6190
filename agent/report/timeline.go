package report

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"
)

// Step is one step of a run. Started is UTC, to the millisecond; MS is the
// duration in milliseconds, so far if the step still runs; Bytes is what it
// moved; Attempts counts from 1; Error and Note are clean, bounded texts and
// empty where there is nothing to say.
type Step struct {
	Name     string    `json:"name"`
	Started  time.Time `json:"started"`
	MS       int64     `json:"ms"`
	Bytes    int64     `json:"bytes"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitzero"`
	Note     string    `json:"note,omitzero"`
}

// Tries is how often the step tried, for people; "" where it was once. What moved
// bytes without an error made so many requests, most of them for a range each.
func (s Step) Tries() string {
	switch {
	case s.Attempts <= 1:
		return ""
	case s.Bytes > 0 && s.Error == "":
		return strconv.Itoa(s.Attempts) + " requests"
	}
	return strconv.Itoa(s.Attempts) + " attempts"
}

// Kind says why an [Event] was published.
type Kind int

// A step publishes Started once, then any number of Progress, then Finished
// once.
const (
	Started Kind = iota + 1
	Progress
	Finished
)

// Event is a step as it stood when the event was published. Number is its
// place in the run, from 1 in the order of starting. Total is how many bytes
// it expects to move, 0 where that is not known.
type Event struct {
	Kind   Kind
	Number int
	Step   Step
	Total  int64
}

// Timeline records the steps of one run. Its methods may be called from any
// goroutine.
//
// Wall-clock times are the timeline's own beginning plus what the monotonic
// clock counted since, so steps keep their order and distance when the time
// of day is corrected in the middle of a boot.
type Timeline struct {
	origin  time.Time
	observe func(Event)

	observing sync.Mutex // held around observe
	mu        sync.Mutex // guards spans
	spans     []*Span
}

// NewTimeline begins a timeline now. Every event goes to observe, which may
// be nil: one call at a time, the events of one step in order. It may call
// [Timeline.Steps], must not start a step, and should return soon: a step
// waits for it when it starts and finishes, though never to show progress.
func NewTimeline(observe func(Event)) *Timeline {
	if observe == nil {
		observe = func(Event) {}
	}
	return &Timeline{origin: time.Now(), observe: observe}
}

// errPanicked is what a step records when its function never returned.
var errPanicked = errors.New("panicked")

// Begin starts the step called name, for a function that is that step:
//
//	s := steps.Begin("resolve")
//	defer s.End(&err)
//
// Steps may be nested and may run in parallel.
func (t *Timeline) Begin(name string) *Span { return t.start(name) }

// End finishes the step with the error that its function returns. It has to be
// deferred itself: a panic is not stopped, but the step is finished first.
func (s *Span) End(err *error) {
	if p := recover(); p != nil {
		s.finish(errPanicked)
		panic(p)
	}
	s.finish(*err)
}

// Do runs f as the step called name, where that is only a part of a function,
// and returns f's error as it is.
func (t *Timeline) Do(ctx context.Context, name string, f func(ctx context.Context, s *Span) error) (err error) {
	s := t.Begin(name)
	defer s.End(&err)
	return f(ctx, s)
}

// Steps returns the steps so far in the order of starting.
func (t *Timeline) Steps() []Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	steps := make([]Step, 0, len(t.spans))
	for _, s := range t.spans {
		steps = append(steps, s.snapshot(Progress).Step)
	}
	return steps
}

// Fill writes the timeline's beginning, its duration so far and its steps into
// the report.
func (t *Timeline) Fill(r *Report) {
	r.Started = t.origin.UTC().Truncate(time.Millisecond)
	r.MS = t.elapsed().Milliseconds()
	r.Steps = t.Steps()
}

func (t *Timeline) elapsed() time.Duration { return time.Since(t.origin) }

func (t *Timeline) start(name string) *Span {
	s := t.add(name)
	t.observing.Lock()
	defer t.observing.Unlock()
	t.observe(s.snapshot(Started))
	return s
}

func (t *Timeline) add(name string) *Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	began := t.elapsed()
	s := &Span{timeline: t, began: began, published: began, event: Event{
		Number: len(t.spans) + 1,
		Step: Step{
			Name:     Clean(name, MaxText),
			Started:  t.origin.Add(began).UTC().Truncate(time.Millisecond),
			Attempts: 1,
		},
	}}
	t.spans = append(t.spans, s)
	return s
}
