package service

import (
	"context"
	"errors"
	"time"

	"koboshi/systemd"
)

// load has systemd read the units' files as they are now, those of the release that is
// current, too.
func (u units) load(ctx context.Context) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	s := &start{units: u, m: m}
	return s.link(ctx)
}

// limits are those of all of the app's units together: they are stopped one by one, and
// any of them may be started again. A unit that comes with the release may not be there
// yet.
func (u units) limits(ctx context.Context) (stop, restart time.Duration, err error) {
	m, err := u.connect(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer m.Close()
	for _, unit := range u.config.Service.AllUnits() {
		if !u.config.Service.Brings(unit) {
			if err := m.Refresh(ctx, unit); err != nil {
				return 0, 0, err
			}
		}
	}
	run, _, err := u.involved(ctx, m)
	if err != nil {
		return 0, 0, err
	}
	restart = systemd.Endless
	for _, unit := range run {
		l, err := m.Lifetime(ctx, unit)
		if errors.Is(err, systemd.ErrNoUnit) && u.optional(unit) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if stop += l.StopTimeout; stop < 0 || l.StopTimeout == systemd.Endless {
			stop = systemd.Endless
		}
		if l.Restart != "" && l.Restart != "no" {
			restart = min(restart, l.RestartAfter)
		}
	}
	return stop, restart, nil
}

// arm stops all units at once, as PID 1 stops what conflicts.
func (u units) arm(ctx context.Context, at time.Time) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	run, by, err := u.involved(ctx, m)
	if err != nil {
		return err
	}
	return m.ArmStop(ctx, u.config.App, append(run, by...), at)
}

func (u units) disarm(ctx context.Context) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.DisarmStop(ctx, u.config.App)
}
