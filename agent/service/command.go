package service

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/process"
)

// commands is the backend for an app that is started by a command, where there
// is no systemd.
type commands struct{ config *config.Config }

func (c commands) restart(ctx context.Context, env []string) (waiter, error) {
	since := time.Now()
	restart := c.command(c.config.Service.Restart)
	restart.Env = append(restart.Env, env...)
	group := process.Group{Log: filepath.Join(c.config.State.Run, "restart.log")}
	if _, err := group.Run(ctx, restart); err != nil {
		return nil, err
	}
	return func(ctx context.Context, gate health.Gate) (health.Report, error) {
		return gate.WaitSince(ctx, since)
	}, nil
}

func (c commands) stop(ctx context.Context) error {
	if len(c.config.Service.Stop) == 0 {
		return ErrNoStop
	}
	_, err := process.Group{}.Run(ctx, c.command(c.config.Service.Stop))
	return err
}

// command is one of the configuration's own commands: it runs as koboshi does.
func (c commands) command(args []string) process.Command {
	return process.Command{Args: args, Dir: current(c.config), Env: systemEnv(), Timeout: time.Duration(c.config.Health.Timeout)}
}

func (c commands) running(context.Context) (bool, error) { return false, ErrUnknown }

func (c commands) user(context.Context) (string, error) {
	_, _, err := groupUser(c.config.Hooks.User)
	return cmp.Or(c.config.Hooks.User, "koboshi itself"), err
}

func (c commands) run(ctx context.Context, p program) error {
	env, as, err := groupUser(c.config.Hooks.User)
	if err != nil {
		return err
	}
	p.Env = append(env, p.Env...)
	_, err = process.Group{As: as}.Run(ctx, p.Command)
	return err
}
