package systemd

import (
	"context"
	"math"
	"strings"
	"time"
)

const (
	// Endless is a time that systemd does not limit.
	Endless = time.Duration(math.MaxInt64)

	never = math.MaxUint64 // "infinity" on D-Bus
)

// Lifetime is how a service is stopped and started again, as its unit says.
type Lifetime struct {
	StopTimeout  time.Duration // TimeoutStopUSec: from SIGTERM to SIGKILL; Endless = no SIGKILL, or not for all of its processes
	Restart      string        // no, always, on-failure, …
	RestartAfter time.Duration // RestartUSec: from its end to its next start
}

// Lifetime asks for that of a service; zero for another unit. The error is ErrNoUnit
// where there is no such unit.
func (m *Manager) Lifetime(ctx context.Context, unit string) (l Lifetime, err error) {
	if err := m.checkLoaded(ctx, unit, "the timeouts"); err != nil || !strings.HasSuffix(unit, ".service") {
		return Lifetime{}, err
	}
	if l.StopTimeout, err = m.stopTimeout(ctx, unit); err != nil {
		return Lifetime{}, err
	}
	if l.Restart, err = serviceProperty[string](ctx, m, unit, "Restart"); err != nil {
		return Lifetime{}, err
	}
	l.RestartAfter, err = m.serviceTime(ctx, unit, "RestartUSec")
	return l, err
}

func (m *Manager) stopTimeout(ctx context.Context, unit string) (time.Duration, error) {
	kills, err := serviceProperty[bool](ctx, m, unit, "SendSIGKILL")
	if err != nil {
		return 0, err
	}
	mode, err := serviceProperty[string](ctx, m, unit, "KillMode")
	if err != nil {
		return 0, err
	}
	if !kills || mode != "control-group" && mode != "mixed" {
		return Endless, nil
	}
	return m.serviceTime(ctx, unit, "TimeoutStopUSec")
}

// serviceTime is a property in microseconds.
func (m *Manager) serviceTime(ctx context.Context, unit, name string) (time.Duration, error) {
	micros, err := serviceProperty[uint64](ctx, m, unit, name)
	if err != nil {
		return 0, err
	}
	if micros > uint64(Endless/time.Microsecond) {
		return Endless, nil
	}
	return time.Duration(micros) * time.Microsecond, nil //nolint:gosec // it fits
}
