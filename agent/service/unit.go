package service

import (
	"cmp"
	"context"
	"errors"
	"os/user"
	"path/filepath"

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
	journal func(ctx context.Context, invocation string) []string
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
	Restart(ctx context.Context, unit string) (invocation, error)
	Stop(ctx context.Context, unit string) error
	State(ctx context.Context, unit string) (systemd.State, error)
	Ended(ctx context.Context, unit string) error
	Credentials(ctx context.Context, unit string) (systemd.Credentials, error)
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

// restart runs the unit's restart job. Where the release brings the unit
// itself, it is linked first; the link leads through current, so that a release
// that is put back later brings its own unit with it. The connection stays open
// while the gate watches the unit.
func (u units) restart(ctx context.Context, _ []string) (waiter, error) {
	m, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	started, err := u.linkAndRestart(ctx, m)
	if err != nil {
		defer m.Close()
		return nil, u.explain(ctx, m, "", err)
	}
	return func(ctx context.Context, gate health.Gate) (health.Report, error) {
		defer m.Close()
		report, err := gate.Wait(ctx, started)
		return report, u.explain(ctx, m, started.Identity(), err)
	}, nil
}

// explain adds to the error of a start how the unit has ended and what it last
// wrote. id is its invocation, "" where the start did not get so far as to tell.
func (u units) explain(ctx context.Context, m manager, id string, err error) error {
	failed, ok := errors.AsType[*systemd.JobError](err)
	if !ok && !errors.Is(err, health.ErrUnhealthy) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalLimit)
	defer cancel()
	why := &StartError{Err: err}
	if id == "" {
		state, _ := m.State(ctx, failed.Unit) // without it the error is all there is
		id = state.Invocation
	} else {
		why.Exit = m.Ended(ctx, u.config.Service.Unit)
	}
	why.Last = u.journal(ctx, id)
	return why
}

func (u units) linkAndRestart(ctx context.Context, m manager) (invocation, error) {
	if file := u.config.Service.UnitFile; file != "" {
		if err := m.Link(ctx, filepath.Join(current(u.config), file)); err != nil {
			return nil, err
		}
	}
	return m.Restart(ctx, u.config.Service.Unit)
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

// user looks the name up, except for that of DynamicUser=, which exists only
// while the unit runs.
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
	as, err := u.credentials(ctx, m)
	if err != nil {
		return err
	}
	p.Env = append(inherited("PATH", "LANG", "TZ"), p.Env...) // systemd sets HOME
	return process.Unit{Name: p.unit, Description: p.about, As: as, Quiet: p.quiet, Brief: p.quiet}.Run(ctx, m, p.Command)
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
