package report

import (
	"sync"
	"time"
)

// progressEvery is the least time between two Progress events of one step.
const progressEvery = 100 * time.Millisecond

// Span is a running step in the hands of the function that does its work. Its
// methods may be called from any goroutine; once the step has finished they
// change nothing.
type Span struct {
	timeline *Timeline
	began    time.Duration // since the timeline's origin

	mu        sync.Mutex
	event     Event // without a kind
	tried     bool
	done      bool
	published time.Duration // when progress was last due, since the origin
}

// AddBytes counts n more bytes as moved.
func (s *Span) AddBytes(n int64) {
	s.change(func() { s.event.Step.Bytes += n })
}

// SetTotal says how many bytes the step expects to move.
func (s *Span) SetTotal(n int64) {
	s.change(func() { s.event.Total = n })
}

// Attempt counts one more try and is called as each begins. A step that never
// calls it has one attempt.
func (s *Span) Attempt() {
	s.change(func() {
		if s.tried {
			s.event.Step.Attempts++
		}
		s.tried = true
	})
}

// SetAttempts replaces the count of tries, for work that counts its own.
func (s *Span) SetAttempts(n int) {
	s.change(func() { s.event.Step.Attempts, s.tried = max(n, 1), true })
}

// Note attaches a remark to the step in place of an earlier one.
func (s *Span) Note(text string) {
	s.change(func() { s.event.Step.Note = Clean(text, MaxText) })
}

// change applies f to a step that still runs, and publishes progress where it
// is due.
func (s *Span) change(f func()) {
	if s.apply(f) {
		s.progress()
	}
}

// progress leaves a busy observer alone: the next event has what it misses.
func (s *Span) progress() {
	if !s.timeline.observing.TryLock() {
		return
	}
	defer s.timeline.observing.Unlock()
	if s.running() { // otherwise Finished is out already, or waits for the lock
		s.timeline.observe(s.snapshot(Progress))
	}
}

// apply reports whether progress is due.
func (s *Span) apply(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return false
	}
	f()
	now := s.timeline.elapsed()
	if now-s.published < progressEvery {
		return false
	}
	s.published = now
	return true
}

func (s *Span) finish(err error) {
	s.close(err)
	s.timeline.observing.Lock()
	defer s.timeline.observing.Unlock()
	s.timeline.observe(s.snapshot(Finished))
}

func (s *Span) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event.Step.MS = s.milliseconds()
	if err != nil {
		s.event.Step.Error = Clean(err.Error(), MaxText)
	}
	s.done = true
}

func (s *Span) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.done
}

func (s *Span) snapshot(kind Kind) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.event
	e.Kind = kind
	if !s.done {
		e.Step.MS = s.milliseconds()
	}
	return e
}

func (s *Span) milliseconds() int64 {
	return (s.timeline.elapsed() - s.began).Milliseconds()
}
