package drain

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// Drain takes the app of one instance out of service. Its maker sets the exported
// fields; what a configuration does not have is nil or zero.
type Drain struct {
	Record   Record
	Save     func(Record) error
	Clock    state.Clock
	Now      func() time.Time
	Deadline time.Duration // from the notice to the end
	Reserve  time.Duration // of it, what the steps after the let-go may need

	Announce func(ctx context.Context) error                 // ends the other runs of the app, and keeps new ones away
	Groups   Groups                                          // target groups that the app's instance is let go by
	Action   lifecycle.Action                                // the lifecycle action that waits, or will; zero = none
	Find     func(context.Context) (lifecycle.Action, error) // looks for an action that could not be found yet; nil = Action is known
	Hooks    Hooks
	App      App
	Flushers []Flusher
	Release  func(ctx context.Context) (note string, err error) // gives the node id back, or records that it is kept; nil = there is none

	Events <-chan Event // what comes between; nil = nothing does

	Steps  *report.Timeline
	Warn   func(format string, args ...any)
	Report *report.Drain
	Beats  atomic.Int64 // heartbeats that were sent, for the report

	run       context.Context // of the process
	limit     *limit
	serving   context.Context // until the app is to be stopped
	serve     *limit
	withdrawn atomic.Bool
	down      atomic.Bool // the machine shuts down

	mu        sync.Mutex // guards what follows, and Warn
	stopBeats func()     // ends the heartbeats and waits for them; nil = none are sent
}

// step is one step of a drain. Its note is for people.
type step struct {
	name string
	run  func(ctx context.Context) (note string, err error) // nil = there is nothing to do
}

// First is the step at which a drain begins.
const First = "notice"

// steps is the drain at a glance.
func (d *Drain) steps() []step {
	return []step{
		{First, d.announce},
		{"let-go", d.letGo},
		{"pre_stop", d.preStop},
		{"stop", d.stop},
		{"flush", d.flush},
		{"release", d.Release},
		{"complete", d.complete},
	}
}

// ErrWithdrawn is a notice that was taken back before the app was stopped: the
// instance goes on.
var ErrWithdrawn = errors.New("the notice was withdrawn")

// errShutdown ends the let-go of a machine that goes down.
var errShutdown = errors.New("the machine is shutting down")

// Run drains, from the step on at which the record is. It returns when the drain is
// over, or with the cause of ctx's end; then the record is open, and another Run
// goes on. Else the error says what has not succeeded of a drain that went to its
// end: ErrLeft, ErrDeadline, lifecycle.ErrNotCompleted, or of stopping the app.
func (d *Drain) Run(ctx context.Context) error {
	if d.Record.Step == "" {
		d.Record.Step = First
	}
	d.Report.Reason, d.Report.Noticed, d.Report.Deadline = string(d.Record.Reason), d.Record.Noticed, d.Record.Deadline
	var limited context.Context
	d.run = ctx
	left := d.time()
	limited, d.limit = within(ctx, left, ErrDeadline)
	defer d.limit.stop()
	d.serving, d.serve = within(limited, d.toServe(left), errReserve)
	defer d.serve.stop()
	go d.listen(limited)
	if d.at() > d.position("let-go") { // the lifecycle hook waits already
		d.keepAlive(ctx)
	}
	defer d.endBeats()
	defer d.letFilesGo()

	var failed error
	for _, s := range d.steps()[d.at():] {
		if s.run == nil {
			continue
		}
		d.enter(s.name)
		err := d.Steps.Do(limited, s.name, func(ctx context.Context, span *report.Span) error {
			note, err := s.run(ctx)
			span.Note(note)
			return err
		})
		switch {
		case errors.Is(err, ErrWithdrawn):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		failed = errors.Join(failed, err)
		if d.down.Load() && errors.Is(err, ErrLeft) {
			return failed // what is left may be delivered after a reboot: the record stays open
		}
	}
	d.Record.Ended = d.Now().UTC().Truncate(time.Second)
	d.save()
	return failed
}

// time is what is left of the deadline. Another boot of the machine has a new one:
// how long it was off is not known.
func (d *Drain) time() time.Duration {
	if d.untilShutdown() {
		return forever
	}
	if d.Record.Boot != d.Clock.Boot {
		d.Record.Boot = d.Clock.Boot
		d.Record.Until = (d.Clock.Uptime() + d.Deadline).Milliseconds()
	}
	return min(d.Deadline, time.Duration(d.Record.Until)*time.Millisecond-d.Clock.Uptime())
}

// toServe is how much of the time the let-go may take: half of it at least.
func (d *Drain) toServe(left time.Duration) time.Duration { return max(left-d.Reserve, left/2) }

// forever is longer than any machine runs.
const forever = 100 * 365 * 24 * time.Hour

func (d *Drain) at() int { return max(0, d.position(d.Record.Step)) }

func (d *Drain) position(name string) int {
	return slices.IndexFunc(d.steps(), func(s step) bool { return s.name == name })
}

func (d *Drain) enter(name string) {
	d.Record.Step = name
	d.save()
}

// save makes durable what is under way. A disk that takes nothing keeps no instance
// from being drained.
func (d *Drain) save() {
	if err := d.Save(d.Record); err != nil {
		d.warn("how far the drain is could not be recorded: %v", err)
	}
}

func (d *Drain) warn(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Warn(format, args...)
}

// announce is the step of the notice.
func (d *Drain) announce(ctx context.Context) (string, error) {
	if err := d.Announce(ctx); err != nil {
		d.warn("another run may still be at work: %v", err)
	}
	return string(d.Record.Reason), nil
}

// Begin is the record of a drain that begins now.
func Begin(instance string, n notice.Notice, deadline time.Duration, clock state.Clock, now time.Time) Record {
	return Record{
		Schema: schema, Instance: instance, Reason: n.Reason, Notice: n.ID, Returns: n.Returns,
		Noticed: now.UTC().Truncate(time.Second), Deadline: now.Add(deadline).UTC().Truncate(time.Second),
		Boot: clock.Boot, Until: (clock.Uptime() + deadline).Milliseconds(), Step: First,
	}
}
