package systemd

import (
	"context"
	"errors"
	"slices"
)

// Trigger is a unit that starts another one at an event: a socket, a timer, a path.
type Trigger struct {
	Unit   string
	Starts string
	Pulled bool // is itself started with that: Requires=, BindsTo= or Wants=
}

// Triggers are those of which a unit is one side. Those that systemd has not loaded are
// not among them.
func (m *Manager) Triggers(ctx context.Context, unit string) (all []Trigger, err error) {
	props, err := m.unitProperties(ctx, unit)
	if errors.Is(err, ErrNoUnit) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	units := func(name string) []string {
		named, _ := props[name].([]string)
		return named
	}
	with := slices.Concat(units("Requires"), units("BindsTo"), units("Wants"))
	for _, by := range units("TriggeredBy") {
		all = append(all, Trigger{Unit: by, Starts: unit, Pulled: slices.Contains(with, by)})
	}
	for _, of := range units("Triggers") {
		all = append(all, Trigger{Unit: unit, Starts: of})
	}
	return all, nil
}
