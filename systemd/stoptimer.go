package systemd

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
)

// ErrPast is a stop that was to be armed for a moment which has passed: systemd would
// never start it.
var ErrPast = errors.New("the moment has passed")

const (
	stopPrefix   = "koboshi-stop-"
	stopAccuracy = time.Second

	// calendarForm is the form of one moment in OnCalendar= (systemd.time(7)).
	calendarForm = "2006-01-02 15:04:05 UTC"
)

// ArmStop has systemd stop units at a moment of the wall clock, to the second below
// it, whether this process is there then or not: a timer starts a service that
// conflicts with them. The stop begins within a second of that moment, or at once
// where the clock is set past it, and ends after the units' own stop timeouts. What
// starts one of the units by itself, such as a socket, has to be among them.
//
// The timer replaces the earlier ones of that name, which are removed only after the
// new one is seen to be armed. It survives a reload of systemd, a re-execution and
// an isolate, and acts also while the machine shuts down, but is gone with the boot.
// A unit that was stopped can be started again.
//
// Errors: ErrPast, where the earlier ones stay as they were; ErrDisconnected. An
// earlier one that could not be removed is an error, too: it would stop the units first.
func (m *Manager) ArmStop(ctx context.Context, name string, units []string, at time.Time) error {
	s := newStop(name, units, at)
	if !s.at.After(time.Now()) {
		return unitError("arm", s.unit(".timer"), ErrPast)
	}
	if err := m.startStopTimer(ctx, s); err != nil {
		return err
	}
	if err := m.checkArmed(ctx, s); err != nil {
		return errors.Join(err, m.Discard(ctx, s.unit(".timer")))
	}
	return m.disarm(ctx, name, s.unit(".timer"))
}

// DisarmStop removes what ArmStop has made under that name. A stop that has begun
// goes on.
func (m *Manager) DisarmStop(ctx context.Context, name string) error {
	return m.disarm(ctx, name, "")
}

// StopArmed is the earliest moment for which a stop is armed under that name.
func (m *Manager) StopArmed(ctx context.Context, name string) (at time.Time, armed bool, err error) {
	timers, err := m.stopTimers(ctx, name)
	if err != nil {
		return time.Time{}, false, err
	}
	for _, timer := range timers {
		next, err := m.nextElapse(ctx, timer)
		if err != nil {
			return time.Time{}, false, err
		}
		if !next.IsZero() && (!armed || next.Before(at)) {
			at, armed = next, true
		}
	}
	return at, armed, nil
}

// stop is one timer and its service.
type stop struct {
	name  string
	units []string // sorted
	at    time.Time
}

func newStop(name string, units []string, at time.Time) stop {
	units = slices.Clone(units)
	slices.Sort(units)
	return stop{name, slices.Compact(units), at.UTC().Truncate(time.Second)}
}

// unit is different for other units and another moment, so that one is never taken
// for another: "koboshi-stop-web-f8c3ee65-1795870610.timer".
func (s stop) unit(suffix string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(strings.Join(s.units, " "))) // never fails
	return fmt.Sprintf("%s%s-%08x-%d%s", stopPrefix, s.name, hash.Sum32(), s.at.Unix(), suffix)
}

// isStopTimer reports whether a unit is a timer of that name, and not of one that
// begins with it.
func isStopTimer(unit, name string) bool {
	rest, ok := strings.CutPrefix(unit, stopPrefix+name+"-")
	rest, timer := strings.CutSuffix(rest, ".timer")
	hash, at, two := strings.Cut(rest, "-")
	_, notHash := strconv.ParseUint(hash, 16, 32)
	_, notTime := strconv.ParseInt(at, 10, 64)
	return ok && timer && two && len(hash) == 8 && notHash == nil && notTime == nil
}

// startStopTimer starts the timer, if it is not there already.
func (m *Manager) startStopTimer(ctx context.Context, s stop) error {
	unit := s.unit(".timer")
	return m.run(ctx, job{
		unit: unit,
		queue: func(c *sdbus.Conn, done chan<- string) (int, error) {
			id, err := c.StartTransientUnitAux(ctx, unit, "fail", s.timer(), []sdbus.PropertyCollection{s.service()}, done)
			if isDBusError(err, "org.freedesktop.systemd1.UnitExists") {
				return 0, nil
			}
			return id, unitError("start", unit, err)
		},
		judge: func(ctx context.Context, _ bool) (bool, error) {
			s, err := m.State(ctx, unit)
			if errors.Is(err, ErrNoUnit) {
				return false, nil
			}
			return s.Active == "active", err
		},
	})
}

// timer starts the service of the same name, since Unit= cannot be set on a transient
// one. It has no default dependencies: with them it would wait for the clock to be
// synchronised, and be stopped by a shutdown while the app may still run.
func (s stop) timer() []sdbus.Property {
	type calendar struct{ Base, Spec string }
	return properties([]property{
		{"Description", fmt.Sprintf("stops %s at the end of %s", strings.Join(s.units, ", "), s.name)},
		{"TimersCalendar", []calendar{{"OnCalendar", s.at.Format(calendarForm)}}},
		{"AccuracyUSec", usec(stopAccuracy)},
		{"RemainAfterElapse", false},
		{"DefaultDependencies", false},
		{"IgnoreOnIsolate", true},
		{"CollectMode", "inactive-or-failed"},
	})
}

// service does nothing itself, and is not active once it has done so: a unit that
// conflicts with it could else be stopped only once. It starts after the units have
// stopped, which are stopped in any case.
func (s stop) service() sdbus.PropertyCollection {
	type exec struct { // org.freedesktop.systemd1(5)
		Path          string
		Args          []string
		IgnoreFailure bool
	}
	return sdbus.PropertyCollection{Name: s.unit(".service"), Properties: properties([]property{
		{"Description", fmt.Sprintf("the end of %s, which stops %s", s.name, strings.Join(s.units, ", "))},
		{"Type", "oneshot"},
		{"ExecStart", []exec{{"/bin/true", []string{"/bin/true"}, true}}}, // systemd 252 cannot reload a unit with ExecStartEx
		{"Conflicts", s.units},
		{"After", s.units},
		{"DefaultDependencies", false},
		{"CollectMode", "inactive-or-failed"},
	})}
}

// checkArmed asks systemd: a moment that has passed meanwhile never comes.
func (m *Manager) checkArmed(ctx context.Context, s stop) error {
	next, err := m.nextElapse(ctx, s.unit(".timer"))
	switch {
	case err != nil:
		return err
	case next.IsZero():
		return unitError("arm", s.unit(".timer"), ErrPast)
	case !next.Equal(s.at):
		return fmt.Errorf("arm %s: it elapses at %v, want %v", s.unit(".timer"), next, s.at)
	}
	return nil
}

// nextElapse is when a timer starts its unit, zero where it never does.
func (m *Manager) nextElapse(ctx context.Context, timer string) (time.Time, error) {
	const name = "NextElapseUSecRealtime"
	state, err := m.State(ctx, timer)
	if errors.Is(err, ErrNoUnit) || err == nil && state.Active != "active" {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	var property *sdbus.Property
	err = m.ask(ctx, func(c *sdbus.Conn) (err error) {
		property, err = c.GetUnitTypePropertyContext(ctx, timer, "Timer", name)
		return err
	})
	next, err := propertyValue[uint64](property, timer, name, err)
	if err != nil || next == 0 || next == never {
		return time.Time{}, err
	}
	return time.UnixMicro(int64(next)).UTC(), nil //nolint:gosec // microseconds since 1970
}

func (m *Manager) disarm(ctx context.Context, name, but string) error {
	timers, err := m.stopTimers(ctx, name)
	for _, timer := range timers {
		if timer != but {
			err = errors.Join(err, m.Discard(ctx, timer))
		}
	}
	return err
}

// stopTimers are those that systemd has loaded.
func (m *Manager) stopTimers(ctx context.Context, name string) (timers []string, err error) {
	var units []sdbus.UnitStatus
	err = m.ask(ctx, func(c *sdbus.Conn) (err error) {
		units, err = c.ListUnitsByPatternsContext(ctx, []string{}, []string{stopPrefix + name + "-*.timer"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the timers of %s: %w", name, err)
	}
	for _, unit := range units {
		if isStopTimer(unit.Name, name) {
			timers = append(timers, unit.Name)
		}
	}
	return timers, nil
}
