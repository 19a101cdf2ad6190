package health

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrUnhealthy matches every *UnhealthyError.
var ErrUnhealthy = errors.New("unhealthy")

// Gate is the condition under which a release counts as healthy.
type Gate struct {
	Probe   Probe
	Timeout time.Duration // until the first green try
	Bake    time.Duration // how long it must stay green; 0: one green try is enough
}

// Process is the process that should answer the probe.
type Process interface {
	// Gone returns an empty why while the process is alive, and what happened
	// to it once it has ended for good. An error makes the try red: the process
	// could not be looked at, or it is not yet the right one that answers.
	Gone(ctx context.Context) (why string, err error)
}

// Report is the outcome of a gate.
type Report struct {
	Attempts   int           // tries, green and red
	FirstGreen time.Duration // from the start of waiting to the window that stayed green
	Note       string        // what could not be seen; "" if everything could
}

// UnhealthyError is a gate that did not open.
type UnhealthyError struct {
	Last     error // of the last red try
	Waited   time.Duration
	Attempts int
}

// Error reads "unhealthy after 2m0s and 131 tries: GET http://…: 503".
func (e *UnhealthyError) Error() string {
	return fmt.Sprintf("unhealthy after %v and %d tries: %v", e.Waited.Round(time.Millisecond), e.Attempts, e.Last)
}

// Is makes every UnhealthyError an ErrUnhealthy.
func (e *UnhealthyError) Is(target error) bool { return target == ErrUnhealthy }

// Unwrap returns the last red try's error.
func (e *UnhealthyError) Unwrap() error { return e.Last }

// Wait tries until the gate opens or cannot open any more: at most Timeout, Bake
// and the length of two tries. The error is an *UnhealthyError, the cause of the
// context if that ended first, or what is wrong with the probe.
func (g Gate) Wait(ctx context.Context, process Process) (Report, error) {
	probe, err := g.Probe.compile()
	if err != nil {
		return Report{}, err
	}
	w := waiting{gate: g, probe: probe, process: process, began: time.Now()}
	err = w.wait(ctx)
	return w.report, err
}

// WaitSince is Wait for an app that a restart command has started: the process
// that listens on the probe's address must have started at or after since, the
// time just before the command ran.
func (g Gate) WaitSince(ctx context.Context, since time.Time) (Report, error) {
	process := &listener{proc: thisMachine(), addr: g.Probe.address(), since: since}
	report, err := g.Wait(ctx, process)
	report.Note = process.note
	return report, err
}
