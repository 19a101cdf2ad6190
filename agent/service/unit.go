package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/process"
	"koboshi/systemd"
)

// units is the backend for an app that is one or several systemd units. It opens a
// connection for each call.
type units struct {
	config  *config.Config
	connect func(context.Context) (manager, error)
	journal func(ctx context.Context, start invoked) []string
}

// invocation is the part of *systemd.Invocation that units needs.
type invocation interface {
	Gone(ctx context.Context) (why string, err error)
	GoneForGood(ctx context.Context) (why string, err error)
	Failed(ctx context.Context) (why string, err error)
	Identity() string // 32 hex digits
}

// manager is the part of *systemd.Manager that units needs.
type manager interface {
	process.Manager
	Link(ctx context.Context, paths ...string) error
	Refresh(ctx context.Context, unit string) error
	CheckOrder(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) (invocation, error)
	Start(ctx context.Context, unit string) (invocation, error)
	ReloadUnit(ctx context.Context, unit string) error
	Current(ctx context.Context, unit string) (invocation, error)
	ControlGroup(ctx context.Context, unit string) (string, error)
	Stop(ctx context.Context, unit string) error
	State(ctx context.Context, unit string) (systemd.State, error)
	Ended(ctx context.Context, unit string) error
	Credentials(ctx context.Context, unit string) (systemd.Credentials, error)
	Inherit(ctx context.Context, unit string) (systemd.Inherited, error)
	Lifetime(ctx context.Context, unit string) (systemd.Lifetime, error)
	Triggers(ctx context.Context, unit string) ([]systemd.Trigger, error)
	ArmStop(ctx context.Context, name string, units []string, at time.Time) error
	DisarmStop(ctx context.Context, name string) error
	Close()
}

// live is systemd itself.
type live struct{ *systemd.Manager }

func connect(ctx context.Context) (manager, error) {
	m, err := systemd.Connect(ctx)
	return live{m}, err
}

// Restart returns the invocation that the job began.
func (l live) Restart(ctx context.Context, unit string) (invocation, error) {
	return l.Manager.Restart(ctx, unit)
}

// Start returns the invocation that the job began, or that was there.
func (l live) Start(ctx context.Context, unit string) (invocation, error) {
	return l.Manager.Start(ctx, unit)
}

// Current returns the present invocation.
func (l live) Current(ctx context.Context, unit string) (invocation, error) {
	return l.Manager.Current(ctx, unit)
}

// await looks at the app's units as they are now. Where systemd does not answer, that
// is not the app's fault: then the probe alone decides, if there is one.
func (u units) await(ctx context.Context, gate health.Gate) (health.Report, error) {
	m, err := u.connect(ctx)
	if err == nil {
		defer m.Close()
		var present *watch
		if present, err = u.watchPresent(ctx, m); err == nil {
			return gate.WaitUnit(ctx, u.watched(m, present))
		}
	}
	if errors.Is(err, systemd.ErrNoUnit) {
		return gate.WaitUnit(ctx, health.Unit{Process: missing{err}})
	}
	if gate.Probe.None() {
		return health.Report{}, fmt.Errorf("%w: %w", health.ErrUnknown, err)
	}
	gate.AnyListener = true
	return gate.WaitUnit(ctx, health.Unit{})
}

// missing is a unit that does not exist.
type missing struct{ err error }

func (m missing) Gone(context.Context) (why string, err error) { return m.err.Error(), nil }

func (u units) checkListener(ctx context.Context, gate health.Gate) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return gate.CheckListener(ctx, u.watched(m, nil))
}

// stop stops the last unit first, and before it what would start one of them again.
func (u units) stop(ctx context.Context) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	run, by, err := u.involved(ctx, m)
	if err != nil {
		run, by = u.config.Service.AllUnits(), nil
	}
	errs := []error{err}
	for _, unit := range slices.Backward(append(run, by...)) {
		if err := m.Stop(ctx, unit); !errors.Is(err, systemd.ErrNoUnit) { // what is not there does not run
			errs = append(errs, err) // the others are to be stopped in any case
		}
	}
	return errors.Join(errs...)
}

func (u units) running(ctx context.Context) (bool, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return false, err
	}
	defer m.Close()
	run, _, err := u.involved(ctx, m)
	if err != nil {
		return false, err
	}
	for _, unit := range run {
		state, err := m.State(ctx, unit)
		if errors.Is(err, systemd.ErrNoUnit) && !slices.Contains(u.config.Service.AllUnits(), unit) {
			continue
		}
		if err != nil || isUp(state) {
			return err == nil, err
		}
	}
	return false, nil
}

// down is the first unit that does not run and should.
func (u units) down(ctx context.Context) (why string, err error) {
	m, err := u.connect(ctx)
	if err != nil {
		return "", err
	}
	defer m.Close()
	for i, unit := range u.config.Service.AllUnits() {
		state, err := m.State(ctx, unit)
		if err != nil {
			return "", err
		}
		if state.Active == "failed" || state.Active == "inactive" && !MayEnd(i, state) {
			return fmt.Sprintf("%s is %s (%s)", unit, state.Active, state.Sub), nil
		}
	}
	return "", nil
}

// user looks the name up, except for that of DynamicUser=, which exists only while
// the unit runs.
func (u units) user(ctx context.Context) (string, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return "", err
	}
	defer m.Close()
	as, err := u.credentials(ctx, m)
	if err != nil || as.Dynamic {
		return as.User, err
	}
	name := cmp.Or(as.User, "root")
	_, err = user.Lookup(name)
	return name, err
}

func (u units) run(ctx context.Context, p program) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if app := u.config.Service.FirstUnit(); !p.quiet && !u.config.Service.Brings(app) { // it may have been written just now
		if err := m.Refresh(ctx, app); err != nil {
			return err
		}
	}
	as := systemd.Credentials{User: p.user}
	if p.user == "" {
		if as, err = u.credentials(ctx, m); err != nil {
			return err
		}
	}
	unit := process.Unit{Name: p.unit, Description: p.about, As: as, Quiet: p.quiet, AtShutdown: p.late, Brief: p.quiet}
	if p.tree != "" {
		if unit.Inherited, err = u.inherit(ctx, m); err != nil {
			return err
		}
		if unit.View, err = viewOf(u.config.Install.Root, p.tree); err != nil {
			return err
		}
	}
	p.Env = merged(inherited("PATH", "LANG", "TZ"), unit.Inherited.Env, p.Env) // systemd sets HOME
	return unit.Run(ctx, m, p.Command)
}

// credentials are those of hooks.user or of the app's unit. A unit that comes
// with the release may not be linked yet, so it is not asked.
func (u units) credentials(ctx context.Context, m manager) (systemd.Credentials, error) {
	switch {
	case u.config.Hooks.User != "":
		return systemd.Credentials{User: u.config.Hooks.User}, nil
	case u.config.Service.Brings(u.config.Service.FirstUnit()):
		return systemd.Credentials{}, ErrNoUser
	}
	return m.Credentials(ctx, u.config.Service.FirstUnit())
}
