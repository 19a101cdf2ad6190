package systemd

import (
	"context"
	"errors"
	"fmt"
)

// ErrRestarting is a unit that has ended, or is ending, and that Restart= may start
// again.
var ErrRestarting = errors.New("systemd restarts it")

// Invocation is one run of a unit.
type Invocation struct {
	Unit     string
	ID       string // 32 hex digits
	Restarts uint32 // the unit's restart counter when this invocation was first seen

	manager *Manager
	ended   error // how an earlier run ended, as far as that was seen
}

// Current returns the present invocation of a unit, running or not.
func (m *Manager) Current(ctx context.Context, unit string) (*Invocation, error) {
	s, err := m.State(ctx, unit)
	if err != nil {
		return nil, err
	}
	return &Invocation{Unit: unit, ID: s.Invocation, Restarts: s.Restarts, manager: m}, nil
}

// Identity is its id.
func (i *Invocation) Identity() string { return i.ID }

// Gone asks whether this very invocation is over. why is empty while it is active,
// and otherwise what happened to it; it does not come back, whatever systemd
// starts in its place. An error means that systemd could not be asked.
func (i *Invocation) Gone(ctx context.Context) (why string, err error) {
	s, why, err := i.look(ctx)
	switch {
	case why != "" || err != nil:
		return why, err
	case s.Restarts != i.Restarts:
		return fmt.Sprintf("%s ended and was restarted by systemd (NRestarts %d, was %d)", i.Unit, s.Restarts, i.Restarts), nil
	case s.Invocation != i.ID:
		return i.anew(s), nil
	case s.Active != "active" && s.Active != "reloading":
		return i.is(s), nil
	}
	return "", nil
}

// GoneForGood asks whether the unit is over: it does not run, and systemd does not
// start it again by Restart=. Where it does, the error is ErrRestarting, once at
// least, and the next run takes the place of this one.
func (i *Invocation) GoneForGood(ctx context.Context) (why string, err error) {
	s, why, err := i.look(ctx)
	switch {
	case why != "" || err != nil:
		return why, err
	case s.Restarts > i.Restarts && s.Invocation != i.ID:
		i.ID, i.Restarts = s.Invocation, s.Restarts
		return "", i.restarting(fmt.Sprintf("NRestarts %d", s.Restarts))
	case s.Invocation != i.ID:
		return i.anew(s), nil
	case s.Active == "activating" || s.Active == "deactivating":
		if ended := i.manager.Ended(ctx, i.Unit); ended != nil {
			i.ended = ended
		}
		return "", i.restarting(s.Sub)
	case s.Active != "active" && s.Active != "reloading":
		return i.is(s), nil
	}
	return "", nil
}

// Failed asks whether the unit has failed. That it ends, or is started anew, is what
// a unit of Type=oneshot does.
func (i *Invocation) Failed(ctx context.Context) (why string, err error) {
	s, why, err := i.look(ctx)
	switch {
	case why != "" || err != nil:
		return why, err
	case s.Active == "failed":
		return i.is(s), nil
	case s.Sub == "auto-restart":
		return "", i.restarting(s.Sub)
	}
	return "", nil
}

// look asks for the unit's state. why is set where there is no such unit any more.
func (i *Invocation) look(ctx context.Context) (s State, why string, err error) {
	s, err = i.manager.State(ctx, i.Unit)
	if errors.Is(err, ErrNoUnit) {
		return s, i.Unit + " does not exist any more", nil
	}
	return s, "", err
}

func (i *Invocation) is(s State) string {
	return fmt.Sprintf("%s is %s (%s)", i.Unit, s.Active, s.Sub)
}

func (i *Invocation) anew(s State) string {
	return fmt.Sprintf("%s was started anew (invocation %s, was %s)", i.Unit, s.Invocation, i.ID)
}

// restarting begins with how the unit ended.
func (i *Invocation) restarting(now string) error {
	if i.ended != nil {
		return fmt.Errorf("%w; %w (%s)", i.ended, ErrRestarting, now)
	}
	return fmt.Errorf("%s has ended; %w (%s)", i.Unit, ErrRestarting, now)
}
