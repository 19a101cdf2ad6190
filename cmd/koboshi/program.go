package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/systemd"
)

// programs runs what a release brings along beside the app: its hooks, and what
// tells whether it is healthy. Both run as the app's user.
type programs struct {
	config *config.Config
	ui     *ui
	run    func(context.Context, *config.Config, program) error // in a unit, or in a process group
}

// program is one of them, on its way to be run.
type program struct {
	unit    string // that it gets for itself
	about   string
	dir     string
	args    []string // the first is a path beneath dir
	env     []string
	timeout time.Duration
	quiet   bool // runs too often to be worth a word in the journal
	output  io.Writer
}

func newPrograms(cfg *config.Config, u *ui) programs {
	if cfg.Service.Unit != "" {
		return programs{cfg, u, runInUnit}
	}
	return programs{cfg, u, runInGroup}
}

// RunHook runs a hook and tells what it writes. A hook that a killed koboshi has
// left running in the same unit ends first.
func (p programs) RunHook(ctx context.Context, h agent.Hook) error {
	out := &hookOutput{tell: p.ui.hookLine(h)}
	return out.explain(p.run(ctx, p.config, program{
		unit:    "koboshi-" + p.config.App + "-hook.service",
		about:   fmt.Sprintf("%s of %s %s", h.Name, p.config.App, h.Version),
		dir:     h.Dir,
		args:    h.Args,
		env:     h.Env,
		timeout: time.Duration(p.config.Hooks.Timeout),
		output:  out,
	}))
}

// ask runs the health command of the release that serves. Others may ask at the
// same time.
func (p programs) ask(ctx context.Context, command []string) error {
	out := &hookOutput{tell: func(string) {}}
	return out.explain(p.run(ctx, p.config, program{
		unit:    fmt.Sprintf("koboshi-%s-health-%d.service", p.config.App, os.Getpid()),
		about:   "health of " + p.config.App,
		dir:     current(p.config),
		args:    command,
		timeout: health.DefaultProbeTimeout,
		quiet:   true,
		output:  out,
	}))
}

func (p program) command() []string {
	return append([]string{filepath.Join(p.dir, p.args[0])}, p.args[1:]...)
}

// runInUnit runs a program in a unit of its own.
func runInUnit(ctx context.Context, cfg *config.Config, p program) error {
	manager, err := systemd.Connect(ctx)
	if err != nil {
		return err
	}
	defer manager.Close()
	as, err := unitUser(ctx, cfg, manager)
	if err != nil {
		return err
	}
	return manager.Run(ctx, systemd.Command{
		Unit: p.unit, Description: p.about, Quiet: p.quiet,
		Args: p.command(), Dir: p.dir, As: as, Timeout: p.timeout, Output: p.output,
		Env: append(inherited("PATH", "LANG", "TZ"), p.env...), // systemd knows its user's HOME
	})
}

// runInGroup runs a program in a process group of its own.
func runInGroup(ctx context.Context, cfg *config.Config, p program) error {
	env, as, err := groupUser(cfg)
	if err != nil {
		return err
	}
	_, err = health.Run(ctx, health.Cmd{
		Args: p.command(), Dir: p.dir, Env: append(env, p.env...), Timeout: p.timeout, Output: p.output, As: as,
	})
	return err
}

// errNoUser keeps a program of a release from running as root where the app may
// not.
var errNoUser = failure.WithHint(errors.New("nobody says whom it runs as"), "set hooks.user in the configuration")

// unitUser is hooks.user, or whom the app's unit runs as. What a unit that comes
// with the release says is not known before it is linked.
func unitUser(ctx context.Context, cfg *config.Config, manager *systemd.Manager) (systemd.Credentials, error) {
	switch {
	case cfg.Hooks.User != "":
		return systemd.Credentials{User: cfg.Hooks.User}, nil
	case cfg.Service.UnitFile != "":
		return systemd.Credentials{}, errNoUser
	}
	return manager.Credentials(ctx, cfg.Service.Unit)
}

// groupUser is hooks.user where there is no unit to tell, and what it finds of
// our environment. No credential is our own user, who is root only if
// hooks.user says so.
func groupUser(cfg *config.Config) (env []string, as *syscall.Credential, err error) {
	name := cfg.Hooks.User
	switch {
	case name != "":
	case os.Geteuid() == 0:
		return nil, nil, errNoUser
	default:
		return systemEnv(), nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nil, fmt.Errorf("hooks.user: %w", err)
	}
	env = append(inherited("PATH", "LANG", "TZ"), "HOME="+u.HomeDir, "USER="+name, "LOGNAME="+name)
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return env, nil, nil
	}
	as, err = credential(u)
	return env, as, err
}

// credential has all of a user's groups.
func credential(u *user.User) (*syscall.Credential, error) {
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, nil
}
