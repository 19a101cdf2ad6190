package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"koboshi/agent/health"
	"koboshi/systemd"
)

// oneshot is the Type= of a service that ends by itself.
const oneshot = "oneshot"

// MayEnd reports whether a unit may end by itself and be started anew. The first may
// not: it is the one that is probed.
func MayEnd(i int, s systemd.State) bool { return i > 0 && s.Type == oneshot }

// watch is the Process of an app that is several units: all of them.
type watch struct {
	runs  []*run
	fault *run // what the last look found fault with; nil = nothing
}

// run is one unit while a gate watches it.
type run struct {
	invocation
	unit string
	look func(ctx context.Context) (why string, err error)
}

// Gone looks at all units. One that is gone comes before one that is only red. That
// systemd does not answer does not make the app unhealthy.
func (w *watch) Gone(ctx context.Context) (why string, err error) {
	w.fault = nil
	for _, r := range w.runs {
		why, problem := r.look(ctx)
		switch {
		case why != "":
			w.fault = r
			return why, nil
		case problem == nil:
		case !errors.Is(problem, systemd.ErrRestarting):
			return "", fmt.Errorf("%w: %w", health.ErrUnknown, problem)
		case err == nil:
			w.fault, err = r, problem
		}
	}
	return "", err
}

// atFault is the unit that explains a red gate: where none does, the one that is
// probed.
func (w *watch) atFault() *run {
	if w.fault != nil {
		return w.fault
	}
	return w.runs[0]
}

// watchPresent watches the units that run already. They do not have to be the same
// runs, since no start was seen.
func (u units) watchPresent(ctx context.Context, m manager) (*watch, error) {
	w := &watch{}
	for i, unit := range u.config.Service.AllUnits() {
		state, err := m.State(ctx, unit)
		if err != nil {
			return nil, err
		}
		now, err := m.Current(ctx, unit)
		if err != nil {
			return nil, err
		}
		r := &run{invocation: now, unit: unit, look: now.GoneForGood}
		if MayEnd(i, state) {
			r.look = now.Failed
		}
		w.runs = append(w.runs, r)
	}
	return w, nil
}

// watched is the app for a gate. A nil watch is one whose units are not looked at.
func (u units) watched(m manager, w *watch) health.Unit {
	app := health.Unit{Name: u.config.Service.FirstUnit(), Cgroups: func(ctx context.Context) ([]string, error) {
		return u.controlGroups(ctx, m, func(int) bool { return true })
	}}
	if w != nil {
		app.Process = w
	}
	return app
}

// controlGroups are those of the services that are wanted and have processes.
func (u units) controlGroups(ctx context.Context, m manager, wanted func(i int) bool) (groups []string, err error) {
	for i, unit := range u.config.Service.AllUnits() {
		if !strings.HasSuffix(unit, ".service") || !wanted(i) {
			continue
		}
		group, err := m.ControlGroup(ctx, unit)
		if err != nil {
			return nil, err
		}
		if group != "" {
			groups = append(groups, group)
		}
	}
	return groups, nil
}
