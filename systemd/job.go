package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
)

const (
	// stuckAfter is how often a job that has not ended is checked, and deafAfter
	// how often where its end will not be reported.
	stuckAfter = time.Second
	deafAfter  = 50 * time.Millisecond

	// jobTries bounds how often a job that was never begun is asked for.
	jobTries = 10
)

// JobError is a job that systemd could not do.
type JobError struct {
	Unit   string
	Reload bool   // the job was to reload the unit, which runs on
	Result string // the job's, "ended" where there was none: failed, timeout, dependency, canceled, skipped, …
	Cause  string // the unit's own Result, or ReloadResult: exit-code, signal, timeout, start-limit-hit, …; "" or success if there is none
	Status int32  // ExecMainStatus: exit code or signal number of the unit's main process
}

// ended in place of a job's result: there was no job.
const ended = "ended"

// exitNames are the exit codes of systemd itself, for why it could not run a
// program (systemd.exec(5)).
var exitNames = map[int32]string{200: "/CHDIR", 203: "/EXEC", 216: "/GROUP", 217: "/USER", 226: "/NAMESPACE", 243: "/CREDENTIALS"}

// Error reads "job for web.service: failed (exit-code, status 217/USER)".
func (e *JobError) Error() string {
	text := fmt.Sprintf("job for %s: %s", e.Unit, e.Result)
	switch {
	case e.Reload:
		text = fmt.Sprintf("reload of %s: %s", e.Unit, e.Result)
	case e.Result == ended:
		text = e.Unit + " has ended"
	}
	switch {
	case e.Cause == "" || e.Cause == "success":
		return text
	case e.Reload:
		return fmt.Sprintf("%s (%s)", text, e.Cause)
	}
	if e.Cause != "exit-code" {
		return fmt.Sprintf("%s (%s, status %d)", text, e.Cause, e.Status)
	}
	return fmt.Sprintf("%s (%s, status %d%s)", text, e.Cause, e.Status, exitNames[e.Status])
}

// job is one that systemd is asked for.
type job struct {
	unit  string
	queue func(c *sdbus.Conn, done chan<- string) (id int, err error)

	// judge finds out from the unit how the job ended, where systemd's own report was
	// lost: began is false if it was never done. answered is whether systemd had
	// accepted the job.
	judge func(ctx context.Context, answered bool) (began bool, err error)
}

// Restart starts a unit, stopping it first if it runs, and returns when systemd
// reports that it has started, or that it has ended and Restart= starts it again. An
// earlier crash loop does not count: the unit's failed state, start limit and restart
// counter are reset before.
//
// Errors: ErrNoUnit; *JobError if it did not start; ErrOrderedAfterUs if it
// never could; ErrDisconnected. When ctx ends first the job stays queued.
func (m *Manager) Restart(ctx context.Context, unit string) (*Invocation, error) {
	return m.begin(ctx, unit, "restart", (*sdbus.Conn).RestartUnitContext)
}

// Start is Restart for a unit that stays as it is where it runs.
func (m *Manager) Start(ctx context.Context, unit string) (*Invocation, error) {
	return m.begin(ctx, unit, "start", (*sdbus.Conn).StartUnitContext)
}

// enqueue is a call that queues a job.
type enqueue func(c *sdbus.Conn, ctx context.Context, unit, mode string, done chan<- string) (id int, err error)

func (m *Manager) begin(ctx context.Context, unit, verb string, ask enqueue) (*Invocation, error) {
	if err := m.CheckOrder(ctx, unit); err != nil {
		return nil, err
	}
	if err := m.resetFailed(ctx, unit); err != nil {
		return nil, err
	}
	before, err := m.State(ctx, unit)
	if err != nil {
		return nil, err
	}
	err = m.run(ctx, job{
		unit: unit,
		queue: func(c *sdbus.Conn, done chan<- string) (int, error) {
			id, err := ask(c, ctx, unit, "replace", done)
			return id, unitError(verb, unit, err)
		},
		judge: func(ctx context.Context, _ bool) (bool, error) { return m.judgeStart(ctx, unit, before.Invocation) },
	})
	failed, ok := errors.AsType[*JobError](err)
	if err != nil && (!ok || failed.Result != "failed") {
		return nil, err
	}
	begun, stateErr := m.State(ctx, unit)
	if err != nil && (stateErr != nil || begun.Active == "inactive" || begun.Active == "failed") {
		return nil, err
	}
	return &Invocation{Unit: unit, ID: begun.Invocation, Restarts: begun.Restarts, manager: m, ended: err}, stateErr
}

// ReloadUnit makes a unit that runs run its ExecReload=, and returns when that has
// ended. The error is a *JobError where it failed; the unit runs on.
func (m *Manager) ReloadUnit(ctx context.Context, unit string) error {
	if err := m.CheckOrder(ctx, unit); err != nil {
		return err
	}
	err := m.run(ctx, job{
		unit: unit,
		queue: func(c *sdbus.Conn, done chan<- string) (int, error) {
			id, err := c.ReloadUnitContext(ctx, unit, "replace", done)
			return id, unitError("reload", unit, err)
		},
		judge: func(ctx context.Context, answered bool) (bool, error) {
			cause, err := serviceProperty[string](ctx, m, unit, "ReloadResult")
			if err == nil && answered && cause != "success" {
				err = &JobError{Unit: unit, Result: "failed"}
			}
			return answered, err // one that may not have been done is done once more
		},
	})
	failed, ok := errors.AsType[*JobError](err)
	if !ok {
		return err
	}
	cause, _ := serviceProperty[string](ctx, m, unit, "ReloadResult") // only explains it
	return &JobError{Unit: unit, Reload: true, Result: failed.Result, Cause: cause}
}

// judgeStart recognises a start by its invocation: any but the earlier one began
// after it.
func (m *Manager) judgeStart(ctx context.Context, unit, before string) (began bool, err error) {
	s, err := m.State(ctx, unit)
	if err != nil || s.Invocation == before {
		return false, err
	}
	if s.Active == "active" || s.Active == "reloading" {
		return true, nil
	}
	failure := m.jobError(ctx, unit, "failed")
	if e, ok := errors.AsType[*JobError](failure); ok && s.Active == "inactive" && e.Cause == "success" {
		return true, nil // Type=oneshot: it has run to its end
	}
	return true, failure
}

// Stop stops a unit and returns when it has stopped; a unit that does not run is
// a success. Errors are those of Restart.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	return m.run(ctx, job{
		unit: unit,
		queue: func(c *sdbus.Conn, done chan<- string) (int, error) {
			id, err := c.StopUnitContext(ctx, unit, "replace", done)
			return id, unitError("stop", unit, err)
		},
		judge: func(ctx context.Context, _ bool) (bool, error) {
			s, err := m.State(ctx, unit)
			if errors.Is(err, ErrNoUnit) {
				return true, nil
			}
			return s.Active == "inactive" || s.Active == "failed", err
		},
	})
}

func (m *Manager) resetFailed(ctx context.Context, unit string) error {
	err := m.ask(ctx, func(c *sdbus.Conn) error { return c.ResetFailedUnitContext(ctx, unit) })
	if isDBusError(err, "org.freedesktop.systemd1.NoSuchUnit") { // only: not loaded
		return nil
	}
	return unitError("reset", unit, err)
}

// run requests a job, and requests it again where it was lost with a connection.
func (m *Manager) run(ctx context.Context, j job) error {
	for range jobTries {
		if began, err := m.runOnce(ctx, j); began || err != nil {
			return err
		}
	}
	return fmt.Errorf("job for %s: %w", j.unit, ErrDisconnected)
}

func (m *Manager) runOnce(ctx context.Context, j job) (began bool, err error) {
	var conn *sdbus.Conn
	if err := m.ask(ctx, func(c *sdbus.Conn) error { conn = c; return nil }); err != nil {
		return false, fmt.Errorf("job for %s: %w", j.unit, err)
	}
	done := make(chan string, 1)
	id, err := j.queue(conn, done)
	switch {
	case err == nil:
	case !lost(conn, err) || ctx.Err() != nil:
		return false, err
	default:
		m.forget(conn)
	}
	return m.await(ctx, j, queuedJob{conn: conn, id: id, done: done})
}

// queuedJob is a job whose end is waited for.
type queuedJob struct {
	conn *sdbus.Conn // reports its end
	id   int         // 0 = the answer was lost
	done <-chan string
}

// await returns when systemd has removed the job, or when the job can never end.
// While the connection that would report that is lost, the unit is asked.
func (m *Manager) await(ctx context.Context, j job, q queuedJob) (began bool, err error) {
	for missing := 0; ; {
		deaf := q.id == 0 || !q.conn.Connected()
		pause := stuckAfter
		if deaf {
			pause = deafAfter
		}
		select {
		case result := <-q.done:
			return true, m.jobError(ctx, j.unit, result)
		case <-ctx.Done():
			return true, fmt.Errorf("job for %s has not ended: %w", j.unit, context.Cause(ctx))
		case <-time.After(pause):
		}
		if err := m.checkStuck(ctx, j.unit); err != nil {
			return true, err
		}
		id, err := m.jobOf(ctx, j.unit)
		switch {
		case ctx.Err() != nil:
			continue
		case err != nil:
			return true, err
		case id != 0 && (id == q.id || q.id == 0):
			missing = 0
			continue
		}
		// The report may still arrive on the other connection.
		if missing++; deaf || missing > 1 {
			return j.judge(ctx, q.id != 0)
		}
	}
}

// jobOf is the id of the job that a unit has, 0 if there is none.
func (m *Manager) jobOf(ctx context.Context, unit string) (int, error) {
	pair, err := unitProperty[[]any](ctx, m, unit, "Job")
	if errors.Is(err, ErrNoUnit) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(pair) == 2 {
		if id, ok := pair[0].(uint32); ok {
			return int(id), nil
		}
	}
	return 0, fmt.Errorf("ask for the job of %s: got %v", unit, pair)
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
	err := m.CheckOrder(ctx, unit)
	if !errors.Is(err, ErrOrderedAfterUs) {
		return nil // even where systemd could not be asked: the job may still end
	}
	// Stopping takes the waiting start out of the queue. Otherwise it would run
	// as soon as this process is gone, and no gate would check what it starts.
	cancelErr := m.ask(ctx, func(c *sdbus.Conn) error {
		_, err := c.StopUnitContext(ctx, unit, "replace", nil)
		return err
	})
	if cancelErr != nil {
		return fmt.Errorf("%w; its job could not be cancelled: %w", err, cancelErr)
	}
	return err
}
