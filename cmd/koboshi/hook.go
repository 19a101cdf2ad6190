package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/systemd"
)

// errNoHookUser keeps a hook from running as root where the app may not.
var errNoHookUser = hinted{errors.New("nobody says whom it runs as"), "set hooks.user in the configuration"}

// RunHook runs a hook in a unit of its own.
func (s unitService) RunHook(ctx context.Context, h agent.Hook) error {
	manager, err := systemd.Connect(ctx)
	if err != nil {
		return err
	}
	defer manager.Close()
	as, err := hookCredentials(ctx, s.config, manager)
	if err != nil {
		return err
	}
	out := &hookOutput{tell: s.ui.hookLine(h)}
	return out.explain(manager.Run(ctx, systemd.Command{
		Unit:        "koboshi-" + s.config.App + "-hook.service",
		Description: fmt.Sprintf("%s of %s %s", h.Name, s.config.App, h.Version),
		Args:        hookArgs(h),
		Dir:         h.Dir,
		Env:         append(inherited("PATH", "LANG", "TZ"), h.Env...), // systemd knows its user's HOME
		As:          as,
		Timeout:     time.Duration(s.config.Hooks.Timeout),
		Output:      out,
	}))
}

// hookCredentials are those of hooks.user, or of the app's unit. What a unit
// that comes with the release says is not known before it is linked.
func hookCredentials(ctx context.Context, cfg *config.Config, manager *systemd.Manager) (systemd.Credentials, error) {
	switch {
	case cfg.Hooks.User != "":
		return systemd.Credentials{User: cfg.Hooks.User}, nil
	case cfg.Service.UnitFile != "":
		return systemd.Credentials{}, errNoHookUser
	}
	return manager.Credentials(ctx, cfg.Service.Unit)
}

// RunHook runs a hook in a process group of its own.
func (s commandService) RunHook(ctx context.Context, h agent.Hook) error {
	env, as, err := hookUser(s.config)
	if err != nil {
		return err
	}
	out := &hookOutput{tell: s.ui.hookLine(h)}
	_, err = health.Run(ctx, health.Cmd{
		Args:    hookArgs(h),
		Dir:     h.Dir,
		Env:     append(env, h.Env...),
		Timeout: time.Duration(s.config.Hooks.Timeout),
		Output:  out,
		As:      as,
	})
	return out.explain(err)
}

func hookArgs(h agent.Hook) []string {
	return append([]string{filepath.Join(h.Dir, h.Args[0])}, h.Args[1:]...)
}

// hookUser is whom a hook runs as where there is no unit to tell, and what it
// finds of our environment; nil is our own user, which is root only if
// hooks.user says so.
func hookUser(cfg *config.Config) (env []string, as *syscall.Credential, err error) {
	name := cfg.Hooks.User
	switch {
	case name != "":
	case os.Geteuid() == 0:
		return nil, nil, errNoHookUser
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
