package health

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnhealthy matches every *UnhealthyError.
	ErrUnhealthy = errors.New("unhealthy")
	// ErrUnknown is a process that could not be looked at just now. The app may be
	// healthy or not.
	ErrUnknown = errors.New("no information about the process")
)

// Gate is the condition under which a release counts as healthy.
type Gate struct {
	Probe   Probe
	Timeout time.Duration // until the first green try
	Bake    time.Duration // how long it must stay green; 0: one green try is enough

	// AnyListener switches off the check of which process answers.
	AnyListener bool

	// Red is told why the app is not healthy yet, while more tries follow: after a
	// second of that, and when the reason changes, but not too often. nil = no one is.
	Red func(why error)
}

// Process is what was started: the process that should answer the probe, or more
// than that.
type Process interface {
	// Gone returns an empty why while all of it is alive, and what happened
	// once some of it has ended for good. An error makes the try red: it is not yet
	// the right process that answers, or some of it is just started again. One that
	// is ErrUnknown does not count.
	Gone(ctx context.Context) (why string, err error)
}

// Report is the outcome of a gate.
type Report struct {
	Attempts   int           // tries, green and red
	FirstGreen time.Duration // from the start of waiting to the window that stayed green
	Note       string        // what could not be checked, and why; "" if everything could
}

// UnhealthyError is a gate that did not open.
type UnhealthyError struct {
	Last     error // of the last red try
	Waited   time.Duration
	Attempts int
}

// Error reads "unhealthy after 2m0s and 131 tries: GET http://…: 503".
func (e *UnhealthyError) Error() string {
	tries := "tries"
	if e.Attempts == 1 {
		tries = "try"
	}
	return fmt.Sprintf("unhealthy after %v and %d %s: %v", e.Waited.Round(time.Millisecond), e.Attempts, tries, e.Last)
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
	if g.AnyListener {
		return g.Wait(ctx, unwatched{})
	}
	process := &listener{proc: thisMachine(), addr: g.Probe.address(), since: since}
	report, err := g.Wait(ctx, process)
	report.Note = process.note
	return report, err
}

// WaitUnit is Wait for an app that systemd runs: what listens on the probe's
// address must be a process of one of its units, none of which may be older than the
// start. Where the probe has no address, or there is no probe, the units alone are
// watched.
func (g Gate) WaitUnit(ctx context.Context, u Unit) (Report, error) {
	if g.Probe.None() && u.Process != nil {
		g.Probe.Ask = func(context.Context) error { return nil }
	}
	if addr := g.Probe.address(); addr != "" && !g.AnyListener {
		process := &unitListener{Unit: u, addr: addr, cgroups: cgroupMount, sockets: diagnose}
		report, err := g.Wait(ctx, process)
		report.Note = process.note
		return report, err
	}
	if u.Process == nil {
		return g.Wait(ctx, unwatched{})
	}
	return g.Wait(ctx, u.Process)
}

// CheckProcess looks once for the process that listens on the probe's address,
// for an app that a command has started. The error is ErrUnseen where it cannot
// be seen.
func (g Gate) CheckProcess() error {
	if g.AnyListener {
		return nil
	}
	_, err := thisMachine().listener(g.Probe.address())
	return err
}

// unwatched is a process that is not looked at.
type unwatched struct{}

func (unwatched) Gone(context.Context) (string, error) { return "", nil }

// CheckListener looks once at what listens on the probe's address. The error is
// ErrListener, or ErrUnseen where it cannot be seen; nil for a probe without an
// address.
func (g Gate) CheckListener(ctx context.Context, u Unit) error {
	addr := g.Probe.address()
	if addr == "" || g.AnyListener {
		return nil
	}
	process := &unitListener{Unit: u, addr: addr, cgroups: cgroupMount, sockets: diagnose}
	return process.check(ctx)
}
