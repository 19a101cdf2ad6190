package systemd

import (
	"context"
	"errors"
	"fmt"
)

// Invocation is one run of a unit.
type Invocation struct {
	Unit     string
	ID       string // 32 hex digits
	Restarts uint32 // the unit's restart counter when this invocation was first seen

	manager *Manager
}

// Current returns the present invocation of a unit, running or not.
func (m *Manager) Current(ctx context.Context, unit string) (Invocation, error) {
	s, err := m.State(ctx, unit)
	if err != nil {
		return Invocation{}, err
	}
	return Invocation{Unit: unit, ID: s.Invocation, Restarts: s.Restarts, manager: m}, nil
}

// Identity is its id.
func (i Invocation) Identity() string { return i.ID }

// Gone asks whether this invocation is over. why is empty while it is active,
// and otherwise what happened to it; it does not come back, whatever systemd
// starts in its place. An error means that systemd could not be asked.
func (i Invocation) Gone(ctx context.Context) (why string, err error) {
	s, err := i.manager.State(ctx, i.Unit)
	switch {
	case errors.Is(err, ErrNoUnit):
		return i.Unit + " does not exist any more", nil
	case err != nil:
		return "", err
	case s.Restarts != i.Restarts:
		return fmt.Sprintf("%s ended and was restarted by systemd (NRestarts %d, was %d)", i.Unit, s.Restarts, i.Restarts), nil
	case s.Invocation != i.ID:
		return fmt.Sprintf("%s was started anew (invocation %s, was %s)", i.Unit, s.Invocation, i.ID), nil
	case s.Active != "active" && s.Active != "reloading":
		return fmt.Sprintf("%s is %s (%s)", i.Unit, s.Active, s.Sub), nil
	}
	return "", nil
}
