package autoscaling

import (
	"slices"
	"time"
)

// agenda is the list of future events, sorted by time. Every read of the model
// settles the agenda first, so all events that are due have happened even if the
// timer has not fired yet: the same run always gives the same history. It has no
// lock of its own.
type agenda struct {
	now   func() time.Time
	wake  func() // called by the timer; must settle under the owner's lock
	due   []appointment
	timer *time.Timer
}

type appointment struct {
	at  time.Time
	run func(at time.Time)
}

// add keeps the appointments sorted; of two at the same time the older is first.
func (a *agenda) add(at time.Time, run func(at time.Time)) {
	after := slices.IndexFunc(a.due, func(d appointment) bool { return d.at.After(at) })
	if after < 0 {
		after = len(a.due)
	}
	a.due = slices.Insert(a.due, after, appointment{at, run})
}

// settle runs all events that are due, each with its own time, and sets the timer
// for the next one.
func (a *agenda) settle() {
	for len(a.due) > 0 && !a.due[0].at.After(a.now()) {
		next := a.due[0]
		a.due = slices.Delete(a.due, 0, 1)
		next.run(next.at)
	}
	a.stop()
	if len(a.due) > 0 {
		a.timer = time.AfterFunc(a.due[0].at.Sub(a.now()), a.wake)
	}
}

func (a *agenda) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// cancel drops all events.
func (a *agenda) cancel() {
	a.stop()
	a.due = nil
}
