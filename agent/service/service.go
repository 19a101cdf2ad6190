package service

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/report"
	"koboshi/artifacts"
)

// Gate waits until the app that was started is healthy and has stayed healthy.
// override is the health section of the release's manifest.
type Gate func(ctx context.Context, override artifacts.Health) (health.Report, error)

// Hook is a command of a release, to be run as the app's user. Its output is
// not trusted.
type Hook struct {
	Name    string // pre_start, post_start or pre_stop
	Version string // of the release
	Dir     string // the release's tree
	Args    []string
	Env     []string // the same as the app's
}

// Service is the app's service on this machine.
type Service struct {
	// Red gets the reason why an app that was started is not healthy yet, safe to
	// print, while a gate waits for it. nil = it is not wanted.
	Red func(why string)

	config  *config.Config
	output  func(h Hook, line string)
	backend backend
}

// backend is what differs between a unit and a command.
type backend interface {
	check(ctx context.Context) error
	restart(ctx context.Context, env []string) (waiter, error)
	await(ctx context.Context, gate health.Gate) (health.Report, error)
	checkListener(ctx context.Context, gate health.Gate) error
	stop(ctx context.Context) error
	running(ctx context.Context) (bool, error)
	down(ctx context.Context) (why string, err error)
	user(ctx context.Context) (string, error)
	load(ctx context.Context) error
	limits(ctx context.Context) (stop, restart time.Duration, err error)
	arm(ctx context.Context, at time.Time) error
	disarm(ctx context.Context) error
	run(ctx context.Context, p program) error
}

// waiter waits at a gate for what was just started.
type waiter func(context.Context, health.Gate) (health.Report, error)

// New makes the service that the configuration describes. output gets what
// hooks write, line by line, bounded and safe to print.
func New(cfg *config.Config, output func(h Hook, line string)) Service {
	if len(cfg.Service.AllUnits()) > 0 {
		return Service{config: cfg, output: output, backend: units{cfg, connect, journal}}
	}
	return Service{config: cfg, output: output, backend: commands{cfg}}
}

// Check finds out, before anything is done, whether the app can be started, as far as
// that does not depend on the release.
func (s Service) Check(ctx context.Context) error { return s.backend.check(ctx) }

// Restart runs the app from <root>/current in place of what ran before, and
// returns the gate that the started app has to pass.
func (s Service) Restart(ctx context.Context, env []string) (Gate, error) {
	wait, err := s.backend.restart(ctx, env)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, override artifacts.Health) (health.Report, error) {
		return wait(ctx, s.gate(override))
	}, nil
}

// Stop stops the app and returns when it has stopped; an app that does not run
// is no error. The error is ErrNoStop where the app is started by a command and
// there is none to stop it.
func (s Service) Stop(ctx context.Context) error { return s.backend.stop(ctx) }

// Load has systemd read what the release that is current brings for the app, before
// anything is started.
func (s Service) Load(ctx context.Context) error { return s.backend.load(ctx) }

// Limits are how long the app may take to stop, and how soon systemd starts it again
// after it has failed. Where one of the app's units has no such limit, that is the
// longest time there is.
func (s Service) Limits(ctx context.Context) (stop, restart time.Duration, err error) {
	return s.backend.limits(ctx)
}

// Arm has systemd begin to stop the app at that moment, whatever becomes of this process,
// in place of the moment that was armed before. The error is ErrNoTimer where the app is
// started by a command.
func (s Service) Arm(ctx context.Context, at time.Time) error { return s.backend.arm(ctx, at) }

// Disarm takes that back.
func (s Service) Disarm(ctx context.Context) error { return s.backend.disarm(ctx) }

// Running reports whether anything of the app runs, which includes what is just being
// started or stopped. The error is ErrUnknown where the app is started by a command;
// every error means that it may run.
func (s Service) Running(ctx context.Context) (bool, error) { return s.backend.running(ctx) }

// Down is the reason why not all of the app runs, and "" where it does. Errors are
// those of Running.
func (s Service) Down(ctx context.Context) (why string, err error) { return s.backend.down(ctx) }

// HookUser is the name of the user that programs of a release run as: hooks.user,
// else the user of the app's unit. The error is ErrNoUser where it is not set.
func (s Service) HookUser(ctx context.Context) (string, error) { return s.backend.user(ctx) }

// Await waits at the gate for an app that runs already. Since no start was seen,
// what answers may be older, but has to be the app's.
func (s Service) Await(ctx context.Context, override artifacts.Health) (health.Report, error) {
	return s.backend.await(ctx, s.gate(override))
}

// Probe asks the app once. What answers has to be the app's.
func (s Service) Probe(ctx context.Context, override artifacts.Health) error {
	gate := s.gate(override)
	gate.Timeout, gate.Bake = 0, 0
	_, err := s.backend.await(ctx, gate)
	return err
}

// CheckListener checks which process listens where the app should answer. The error
// is health.ErrListener where that is not the app, and health.ErrUnseen where it
// cannot be seen. For an app that is started by a command any process is accepted.
func (s Service) CheckListener(ctx context.Context, override artifacts.Health) error {
	return s.backend.checkListener(ctx, s.gate(override))
}

// gate is the configuration's gate with what the release overrides. A health
// command runs as the app's user, the configuration's too: what it names may be
// in the release, or run something from there.
func (s Service) gate(override artifacts.Health) health.Gate {
	h := s.config.Health
	if override.Timeout > 0 {
		h.Timeout = override.Timeout
	}
	if override.Bake > 0 {
		h.Bake = override.Bake
	}
	gate := health.Gate{
		Probe: s.probe(override), Timeout: time.Duration(h.Timeout), Bake: time.Duration(h.Bake),
		AnyListener: h.Listener == config.ListenerAny,
	}
	if s.Red != nil {
		gate.Red = func(why error) { s.Red(report.Clean(why.Error(), maxLine)) }
	}
	return gate
}

// probe is the configuration's probe, or that of the release. Under which name and
// with which certificates an app is asked is the configuration's alone.
func (s Service) probe(override artifacts.Health) health.Probe {
	h := s.config.Health
	statuses := cmp.Or(override.Status, h.Status)
	probe := health.Probe{URL: h.URL, TCP: h.TCP, Statuses: statuses, Host: h.Host, Roots: h.Roots, Insecure: h.Insecure}
	switch {
	case len(override.Command) > 0:
		return health.Probe{Ask: func(ctx context.Context) error {
			return s.ask(ctx, inTree(current(s.config), override.Command))
		}}
	case override.URL != "" || override.TCP != "":
		probe.URL, probe.TCP = override.URL, override.TCP
	case len(h.Command) > 0:
		return health.Probe{Ask: func(ctx context.Context) error { return s.askInstalled(ctx, h.Command) }}
	}
	return probe
}

// Names in install.root and state.run.
const (
	currentName = "current"
	envName     = "env"
)

func current(cfg *config.Config) string { return filepath.Join(cfg.Install.Root, currentName) }
