package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/process"
	"koboshi/systemd"
)

// units is the backend for an app that is a systemd unit. It opens a connection
// for each call.
type units struct {
	config  *config.Config
	connect func(context.Context) (manager, error)
	journal func(ctx context.Context, start invoked) []string
}

// invocation is the part of systemd.Invocation that units needs.
type invocation interface {
	health.Process
	Identity() string // 32 hex digits
}

// manager is the part of *systemd.Manager that units needs.
type manager interface {
	process.Manager
	Link(ctx context.Context, path string) error
	Refresh(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) (invocation, error)
	ControlGroup(ctx context.Context, unit string) (string, error)
	Stop(ctx context.Context, unit string) error
	State(ctx context.Context, unit string) (systemd.State, error)
	Ended(ctx context.Context, unit string) error
	Credentials(ctx context.Context, unit string) (systemd.Credentials, error)
	Inherit(ctx context.Context, unit string) (systemd.Inherited, error)
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
	i, err := l.Manager.Restart(ctx, unit)
	return watched{i}, err
}

// watched is one run of the app's unit. That systemd does not answer does not make
// the app unhealthy.
type watched struct{ invocation }

func (w watched) Gone(ctx context.Context) (why string, err error) {
	if why, err = w.invocation.Gone(ctx); err != nil {
		err = fmt.Errorf("%w: %w", health.ErrUnknown, err)
	}
	return why, err
}

// restart runs the unit's restart job. Where the release brings the unit
// itself, it is linked first; the link leads through current, so that a release
// that is put back later brings its own unit with it. The connection stays open
// while the gate watches the unit.
func (u units) restart(ctx context.Context, _ []string) (waiter, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	start := invoked{unit: u.config.Service.Unit, since: time.Now()}
	started, id, err := u.linkAndRestart(ctx, m)
	if err != nil {
		defer m.Close()
		return nil, u.explain(ctx, m, start, err)
	}
	start.id = id
	return func(ctx context.Context, gate health.Gate) (health.Report, error) {
		defer m.Close()
		report, err := gate.WaitUnit(ctx, started)
		return report, u.explain(ctx, m, start, err)
	}, nil
}

// explain adds to the error of a start how the unit has ended and what it last
// wrote.
func (u units) explain(ctx context.Context, m manager, start invoked, err error) error {
	failed, ok := errors.AsType[*systemd.JobError](err)
	if !ok && !errors.Is(err, health.ErrUnhealthy) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalLimit)
	defer cancel()
	why := &StartError{Err: err}
	if start.id == "" && ok {
		state, _ := m.State(ctx, failed.Unit) // without it the error is all there is
		start.id = state.Invocation
	} else {
		why.Exit = m.Ended(ctx, start.unit)
	}
	start.ended = ok || why.Exit != nil
	why.Last = u.journal(ctx, start)
	return why
}

func (u units) linkAndRestart(ctx context.Context, m manager) (started health.Unit, id string, err error) {
	unit := u.config.Service.Unit
	if file := u.config.Service.UnitFile; file != "" {
		err = m.Link(ctx, filepath.Join(current(u.config), file))
	} else {
		err = m.Refresh(ctx, unit)
	}
	if err != nil {
		return started, "", err
	}
	before, err := m.ControlGroup(ctx, unit)
	if err != nil {
		return started, "", err
	}
	started.Name, started.Earlier = unit, health.ProcessesIn(before)
	run, err := m.Restart(ctx, unit)
	if err != nil {
		return started, "", err
	}
	started.Process = run
	started.Cgroup, err = m.ControlGroup(ctx, unit)
	return started, run.Identity(), err
}

// present is the unit that runs already, for checks of what listens.
func (u units) present(ctx context.Context) (health.Unit, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return health.Unit{}, err
	}
	defer m.Close()
	cgroup, err := m.ControlGroup(ctx, u.config.Service.Unit)
	return health.Unit{Name: u.config.Service.Unit, Cgroup: cgroup}, err
}

// await does not check what listens where systemd does not answer: that would not
// be the app's fault.
func (u units) await(ctx context.Context, gate health.Gate) (health.Report, error) {
	present, err := u.present(ctx)
	if err != nil {
		gate.AnyListener = true
	}
	return gate.WaitUnit(ctx, present)
}

func (u units) checkListener(ctx context.Context, gate health.Gate) error {
	present, err := u.present(ctx)
	if err != nil {
		return err
	}
	return gate.CheckListener(present)
}

func (u units) stop(ctx context.Context) error {
	m, err := u.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Stop(ctx, u.config.Service.Unit)
}

func (u units) running(ctx context.Context) (bool, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return false, err
	}
	defer m.Close()
	state, err := m.State(ctx, u.config.Service.Unit)
	return err == nil && state.Active != "inactive" && state.Active != "failed", err
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
	if !p.quiet && u.config.Service.UnitFile == "" { // it may have been written just now
		if err := m.Refresh(ctx, u.config.Service.Unit); err != nil {
			return err
		}
	}
	as, err := u.credentials(ctx, m)
	if err != nil {
		return err
	}
	unit := process.Unit{Name: p.unit, Description: p.about, As: as, Quiet: p.quiet, Brief: p.quiet}
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
	case u.config.Service.UnitFile != "":
		return systemd.Credentials{}, ErrNoUser
	}
	return m.Credentials(ctx, u.config.Service.Unit)
}
