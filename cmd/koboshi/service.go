package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/artifacts"
	"koboshi/systemd"
)

// unitService starts the app as a systemd unit.
type unitService struct{ programs }

// Restart runs the unit's job. Where the release brings the unit itself, it is
// linked first; the link goes by way of current, so that whatever is put back
// later brings its own unit with it. The connection to systemd lasts as long as the
// gate watches the unit through it.
func (s unitService) Restart(ctx context.Context, _ []string) (agent.Gate, error) {
	manager, err := systemd.Connect(ctx)
	if err != nil {
		return nil, err
	}
	invocation, err := s.restart(ctx, manager)
	if err != nil {
		manager.Close()
		return nil, err
	}
	return func(ctx context.Context, override artifacts.Health) (health.Report, error) {
		defer manager.Close()
		return s.gate(override).Wait(ctx, invocation)
	}, nil
}

func (s unitService) restart(ctx context.Context, manager *systemd.Manager) (systemd.Invocation, error) {
	if file := s.config.Service.UnitFile; file != "" {
		if err := manager.Link(ctx, filepath.Join(current(s.config), file)); err != nil {
			return systemd.Invocation{}, err
		}
	}
	return manager.Restart(ctx, s.config.Service.Unit)
}

// Stopped asks systemd. What it does not tell is taken for running: a live app
// is not restarted on a guess.
func (s unitService) Stopped(ctx context.Context) bool {
	manager, err := systemd.Connect(ctx)
	if err != nil {
		return false
	}
	defer manager.Close()
	unit, err := manager.State(ctx, s.config.Service.Unit)
	return err == nil && (unit.Active == "inactive" || unit.Active == "failed")
}

// commandService starts the app by a command, where there is no systemd.
type commandService struct{ programs }

// Stopped cannot be told of what a command has started.
func (s commandService) Stopped(context.Context) bool { return false }

func (s commandService) Restart(ctx context.Context, env []string) (agent.Gate, error) {
	since := time.Now()
	_, err := health.Run(ctx, health.Cmd{
		Args:    s.config.Service.Restart,
		Dir:     current(s.config),
		Env:     append(systemEnv(), env...),
		Timeout: time.Duration(s.config.Health.Timeout),
		Log:     filepath.Join(s.config.State.Run, "restart.log"),
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, override artifacts.Health) (health.Report, error) {
		return s.gate(override).WaitSince(ctx, since)
	}, nil
}

// gate is the configuration's gate with what the release overrides. A command
// of the configuration is taken as it stands and runs as we do, one of the
// release is a path inside its tree.
func (p programs) gate(override artifacts.Health) health.Gate {
	h := p.config.Health
	if override.Timeout > 0 {
		h.Timeout = override.Timeout
	}
	if override.Bake > 0 {
		h.Bake = override.Bake
	}
	probe := health.Probe{URL: h.URL, TCP: h.TCP, Command: h.Command, Dir: current(p.config), Env: systemEnv()}
	switch {
	case len(override.Command) > 0:
		probe = health.Probe{Ask: func(ctx context.Context) error { return p.ask(ctx, override.Command) }}
	case override.URL != "" || override.TCP != "":
		probe = health.Probe{URL: override.URL, TCP: override.TCP}
	}
	return health.Gate{Probe: probe, Timeout: time.Duration(h.Timeout), Bake: time.Duration(h.Bake)}
}

func current(cfg *config.Config) string { return filepath.Join(cfg.Install.Root, "current") }

// systemEnv is what a command finds of our environment: how to find programs,
// and nothing that could be a credential.
func systemEnv() []string { return inherited("PATH", "HOME", "LANG", "TZ") }

func inherited(names ...string) (env []string) {
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+strings.ToValidUTF8(value, ""))
		}
	}
	return env
}
