package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
)

// ErrOrderedAfterUs is a unit that can start only after the unit in which this
// process runs has started, while this process waits for it: both would wait for
// ever. The remedy is in the other unit: remove its After= on this one, or on a
// unit that waits for this one (multi-user.target, cloud-final.service).
var ErrOrderedAfterUs = errors.New("ordered after the unit that is starting it")

// CheckOrder returns ErrOrderedAfterUs if a start of unit has to wait, directly
// or through other queued jobs, for the start of our own unit.
func (m *Manager) CheckOrder(ctx context.Context, unit string) error {
	var own string
	err := m.ask(ctx, func(c *sdbus.Conn) (err error) {
		own, err = c.GetUnitNameByPID(ctx, uint32(os.Getpid()))
		return err
	})
	if isDBusError(err, "org.freedesktop.systemd1.NoUnitForPID") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for the unit of this process: %w", err)
	}
	starting, err := m.starting(ctx)
	if err != nil {
		return err
	}
	if !starting[own] {
		return nil // units that are ordered after us need not wait any more
	}
	return m.findWait(ctx, unit, own, starting)
}

// starting returns the units that a queued or running job is to start.
func (m *Manager) starting(ctx context.Context) (map[string]bool, error) {
	var jobs []sdbus.JobStatus
	err := m.ask(ctx, func(c *sdbus.Conn) (err error) {
		jobs, err = c.ListJobsContext(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	units := make(map[string]bool, len(jobs))
	for _, job := range jobs {
		if job.JobType != "stop" {
			units[job.Unit] = true
		}
	}
	return units, nil
}

// findWait walks the ordering from unit through the units that still have to
// start, since a job waits only for units that have jobs themselves.
func (m *Manager) findWait(ctx context.Context, unit, own string, starting map[string]bool) error {
	seen := map[string]bool{unit: true}
	for queue := []string{unit}; len(queue) > 0; queue = queue[1:] {
		after, err := m.after(ctx, queue[0])
		if err != nil {
			return err
		}
		for _, next := range after {
			if next == own {
				return fmt.Errorf("start %s: %s is %w, %s", unit, queue[0], ErrOrderedAfterUs, own)
			}
			if starting[next] && !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return nil
}
