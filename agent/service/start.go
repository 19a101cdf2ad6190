package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"koboshi/agent/health"
	"koboshi/systemd"
)

// start is one start of the app's units, from the look at what is there to the end of
// the gate.
type start struct {
	units
	m       manager
	since   time.Time
	before  []systemd.State // of the units
	running watch
}

// restart starts the units in their order, each once the job of the one before has
// ended. Where the release brings unit files, they are linked first; the links lead
// through current, so that a release that is put back later brings its own units with
// it. The connection stays open while the gate watches the units.
func (u units) restart(ctx context.Context, _ []string) (waiter, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &start{units: u, m: m, since: time.Now()}
	app, err := s.begin(ctx)
	if err != nil {
		defer m.Close()
		return nil, s.explain(ctx, err)
	}
	return func(ctx context.Context, gate health.Gate) (health.Report, error) {
		defer m.Close()
		report, err := gate.WaitUnit(ctx, app)
		return report, s.explain(ctx, err)
	}, nil
}

// check looks at the units that the machine has without the release.
func (u units) check(ctx context.Context) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	s := &start{units: u, m: m}
	if err := s.check(ctx, func(unit string) bool { return !u.config.Service.Brings(unit) }); err != nil {
		return err
	}
	return u.checkTriggers(ctx, m)
}

// begin touches no unit before it has looked at all of them. Those that run now are
// stopped from the last on, so that none is started by another one's restart, or twice.
func (s *start) begin(ctx context.Context) (app health.Unit, err error) {
	if err := s.link(ctx); err != nil {
		return app, err
	}
	if err := s.check(ctx, func(string) bool { return true }); err != nil {
		return app, err
	}
	if err := s.checkTriggers(ctx, s.m); err != nil {
		return app, err
	}
	groups, err := s.controlGroups(ctx, s.m, s.anew)
	if err != nil {
		return app, err
	}
	app = s.watched(s.m, &s.running)
	app.Earlier = health.ProcessesIn(groups)
	all := s.config.Service.AllUnits()
	for i, unit := range slices.Backward(all) {
		if i > 0 && s.anew(i) && isUp(s.before[i]) {
			if err := s.m.Stop(ctx, unit); err != nil {
				return app, err
			}
		}
	}
	for i, unit := range all {
		if err := s.bringUp(ctx, i, unit); err != nil {
			return app, err
		}
	}
	return app, nil
}

func isUp(s systemd.State) bool { return s.Active != "inactive" && s.Active != "failed" }

// anew reports whether a unit is started anew. With service.reload those that run are
// only reloaded.
func (s *start) anew(i int) bool {
	now := s.before[i]
	return !s.config.Service.Reload || !now.Reloads || now.Active != "active" && now.Active != "reloading"
}

// bringUp starts or reloads a unit. The first is restarted by one job, since it may be
// the one that takes requests.
func (s *start) bringUp(ctx context.Context, i int, unit string) (err error) {
	r := &run{unit: unit}
	switch {
	case !s.anew(i):
		if r.invocation, err = s.m.Current(ctx, unit); err == nil {
			err = s.m.ReloadUnit(ctx, unit)
		}
		r.look = r.Gone // whatever is started in its place was not reloaded
	case i == 0:
		r.invocation, err = s.m.Restart(ctx, unit)
		r.look = r.GoneForGood
	default:
		r.invocation, err = s.m.Start(ctx, unit)
		r.look = r.GoneForGood
		if MayEnd(i, s.before[i]) {
			r.look = r.Failed
		}
	}
	if err == nil {
		s.running.runs = append(s.running.runs, r)
	}
	return err
}

// link has systemd read the files of the units that the release brings.
func (s *start) link(ctx context.Context) error {
	var brought []string
	for _, file := range s.config.Service.AllUnitFiles() {
		brought = append(brought, filepath.Join(current(s.config), file))
	}
	if len(brought) == 0 {
		return nil
	}
	return s.m.Link(ctx, brought...)
}

// check finds out whether units can be started, by their files as they are now.
func (s *start) check(ctx context.Context, wanted func(unit string) bool) error {
	names := map[string]string{}
	for _, unit := range s.config.Service.AllUnits() {
		if !wanted(unit) {
			continue
		}
		if !s.config.Service.Brings(unit) { // else link has read it
			if err := s.m.Refresh(ctx, unit); err != nil {
				return err
			}
		}
		now, err := s.m.State(ctx, unit)
		if err == nil {
			err = CheckUnit(unit, now, s.config.Service.Reload)
		}
		if err == nil && names[now.Name] != "" {
			err = fmt.Errorf("%w: %s and %s are the same unit", ErrUnusable, names[now.Name], unit)
		}
		if err == nil {
			err = s.m.CheckOrder(ctx, unit)
		}
		if err != nil {
			return err
		}
		if now.Name != "" {
			names[now.Name] = unit
		}
		s.before = append(s.before, now)
	}
	return nil
}

// CheckUnit reports what keeps a unit from being started, or reloaded where it should
// be. A service that ends by itself is never reloaded.
func CheckUnit(unit string, now systemd.State, reload bool) error {
	switch {
	case now.Loaded != "loaded":
		return fmt.Errorf("%w: %s is %s", ErrUnusable, unit, now.Loaded)
	case reload && strings.HasSuffix(unit, ".service") && now.Type != oneshot && !now.Reloads:
		return fmt.Errorf("%w: %s", ErrNoReload, unit)
	}
	return nil
}

// explain adds to the error of a start how the unit at fault has ended and what it last
// wrote.
func (s *start) explain(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*systemd.JobError](err)
	red := errors.Is(err, health.ErrUnhealthy)
	if !ok && !red {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalLimit)
	defer cancel()
	why := &StartError{Err: err}
	if red {
		found := s.running.atFault()
		why.Exit = s.m.Ended(ctx, found.unit)
		why.Last = s.journal(ctx, invoked{unit: found.unit, id: found.Identity(), since: s.since, ended: why.Exit != nil})
		return why
	}
	state, _ := s.m.State(ctx, failed.Unit) // without it the error is all there is
	why.Last = s.journal(ctx, invoked{unit: failed.Unit, id: state.Invocation, since: s.since, ended: !failed.Reload, older: failed.Reload})
	return why
}
