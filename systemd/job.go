package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// stuckAfter is how often a job that has not ended is checked.
const stuckAfter = time.Second

// JobError is a job that systemd could not do.
type JobError struct {
	Unit   string
	Result string // the job's, "ended" where there was none: failed, timeout, dependency, canceled, skipped, …
	Cause  string // the unit's own Result: exit-code, signal, timeout, start-limit-hit, …; "" or success if there is none
	Status int32  // ExecMainStatus: exit code or signal number of the unit's main process
}

// ended in place of a job's result: there was no job.
const ended = "ended"

// exitNames are the exit codes of systemd itself, for why it could not run a
// program (systemd.exec(5)).
var exitNames = map[int32]string{200: "/CHDIR", 203: "/EXEC", 216: "/GROUP", 217: "/USER", 226: "/NAMESPACE"}

// Error reads "job for web.service: failed (exit-code, status 217/USER)".
func (e *JobError) Error() string {
	text := fmt.Sprintf("job for %s: %s", e.Unit, e.Result)
	if e.Result == ended {
		text = e.Unit + " has ended"
	}
	if e.Cause == "" || e.Cause == "success" {
		return text
	}
	if e.Cause != "exit-code" {
		return fmt.Sprintf("%s (%s, status %d)", text, e.Cause, e.Status)
	}
	return fmt.Sprintf("%s (%s, status %d%s)", text, e.Cause, e.Status, exitNames[e.Status])
}

// Restart starts a unit, stopping it first if it runs, and returns when systemd
// reports that it has started. An earlier crash loop does not count: the
// unit's failed state, start limit and restart counter are reset before.
//
// Errors: ErrNoUnit; *JobError if it did not start; ErrOrderedAfterUs if it
// never could; ErrDisconnected. When ctx ends first the job stays queued.
func (m *Manager) Restart(ctx context.Context, unit string) (Invocation, error) {
	if err := m.checkOrder(ctx, unit); err != nil {
		return Invocation{}, err
	}
	err := m.conn.ResetFailedUnitContext(ctx, unit)
	if err != nil && !isDBusError(err, "org.freedesktop.systemd1.NoSuchUnit") { // only: not loaded yet
		return Invocation{}, unitError("reset", unit, err)
	}
	done := make(chan string, 1)
	if _, err := m.conn.RestartUnitContext(ctx, unit, "replace", done); err != nil {
		return Invocation{}, unitError("restart", unit, err)
	}
	if err := m.await(ctx, unit, done); err != nil {
		return Invocation{}, err
	}
	return m.Current(ctx, unit)
}

// Stop stops a unit and returns when it has stopped; a unit that does not run is
// a success. Errors are those of Restart.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	done := make(chan string, 1)
	if _, err := m.conn.StopUnitContext(ctx, unit, "replace", done); err != nil {
		return unitError("stop", unit, err)
	}
	return m.await(ctx, unit, done)
}

// await returns when systemd has removed the job that reports to done, or when
// the job can never end.
func (m *Manager) await(ctx context.Context, unit string, done <-chan string) error {
	tick := time.NewTicker(stuckAfter)
	defer tick.Stop()
	for {
		select {
		case result := <-done:
			return m.jobError(ctx, unit, result)
		case <-ctx.Done():
			return fmt.Errorf("job for %s has not ended: %w", unit, context.Cause(ctx))
		case <-tick.C:
			if err := m.checkStuck(ctx, unit); err != nil {
				return err
			}
		}
	}
}

func (m *Manager) jobError(ctx context.Context, unit, result string) error {
	if result == "done" {
		return nil
	}
	failure := &JobError{Unit: unit, Result: result}
	failure.Cause, failure.Status = m.ended(ctx, unit) // the job's result is the error; these only explain it
	return failure
}

// ended is how a service's main process ended: the unit's Result and the exit
// code or signal number; "" and 0 for another unit, and where it is not known.
func (m *Manager) ended(ctx context.Context, unit string) (cause string, status int32) {
	if !strings.HasSuffix(unit, ".service") {
		return "", 0
	}
	cause, _ = serviceProperty[string](ctx, m, unit, "Result")
	status, _ = serviceProperty[int32](ctx, m, unit, "ExecMainStatus")
	return cause, status
}

// Ended is how a unit that is not up any more has ended, as a *JobError; nil
// where that is not known, or systemd has started it again already.
func (m *Manager) Ended(ctx context.Context, unit string) error {
	cause, status := m.ended(ctx, unit)
	if cause == "" || cause == "success" && status == 0 {
		return nil
	}
	return &JobError{Unit: unit, Result: ended, Cause: cause, Status: status}
}

// checkStuck distinguishes a job that can never end from one that takes long.
func (m *Manager) checkStuck(ctx context.Context, unit string) error {
	err := m.checkOrder(ctx, unit)
	if !m.conn.Connected() {
		return fmt.Errorf("job for %s: %w", unit, ErrDisconnected)
	}
	if !errors.Is(err, ErrOrderedAfterUs) {
		return nil // even where systemd could not be asked: the job may still end
	}
	// Stopping takes the waiting start out of the queue. Otherwise it would run
	// as soon as this process is gone, and no gate would check what it starts.
	if _, cancelErr := m.conn.StopUnitContext(ctx, unit, "replace", nil); cancelErr != nil {
		return fmt.Errorf("%w; its job could not be cancelled: %w", err, cancelErr)
	}
	return err
}
