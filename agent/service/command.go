package service

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/process"
	"koboshi/artifacts/pace"
	"koboshi/systemd"
)

// commands is the backend for an app that is started by a command, where there
// is no systemd.
type commands struct{ config *config.Config }

// check has nothing to look at: the command may come with the release.
func (commands) check(context.Context) error { return nil }

func (c commands) restart(ctx context.Context, env []string) (waiter, error) {
	since := time.Now()
	restart := c.command(c.config.Service.Restart)
	restart.Env = append(restart.Env, env...)
	stop := c.boundLog()
	if _, err := (process.Group{Log: c.log()}).Run(ctx, restart); err != nil {
		stop()
		return nil, &StartError{Err: err, Last: logged(c.log())}
	}
	return func(ctx context.Context, gate health.Gate) (health.Report, error) {
		defer stop()
		if red := gate.Red; red != nil {
			gate.Red = func(why error) { red(&StartError{Err: why, Last: logged(c.log())}) }
		}
		report, err := gate.WaitSince(ctx, since)
		if errors.Is(err, health.ErrUnhealthy) {
			err = &StartError{Err: err, Last: logged(c.log())}
		}
		return report, err
	}, nil
}

// log is the output of the restart command and of the processes that it leaves
// running. It is emptied at each start.
func (c commands) log() string { return filepath.Join(c.config.State.Run, "restart.log") }

// boundLog keeps the log from growing for as long as the start is watched. The log
// is usually in memory, and the app continues to write to it.
func (c commands) boundLog() (stop func()) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.config.Health.Timeout+c.config.Health.Bake))
	go func() {
		for pace.Sleep(ctx, cutEvery) == nil {
			cutLog(c.log())
		}
	}()
	return cancel
}

func (c commands) await(ctx context.Context, gate health.Gate) (health.Report, error) {
	return gate.WaitSince(ctx, time.Time{})
}

func (c commands) checkListener(_ context.Context, gate health.Gate) error {
	return gate.CheckProcess()
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

// running cannot be known. Each look at the app is an occasion to cut its log.
func (c commands) running(context.Context) (bool, error) {
	cutLog(c.log())
	return false, ErrUnknown
}

// down cannot be known, either.
func (c commands) down(ctx context.Context) (string, error) {
	_, err := c.running(ctx)
	return "", err
}

// load, limits, arm and disarm need systemd.
func (c commands) load(context.Context) error { return nil }
func (c commands) limits(context.Context) (stop, restart time.Duration, err error) {
	return 0, systemd.Endless, nil
}
func (c commands) arm(context.Context, time.Time) error { return ErrNoTimer }
func (c commands) disarm(context.Context) error         { return nil }

func (c commands) user(context.Context) (string, error) {
	_, _, err := groupUser(c.config.Hooks.User)
	return cmp.Or(c.config.Hooks.User, "koboshi itself"), err
}

func (c commands) run(ctx context.Context, p program) error {
	if p.tree != "" {
		if err := checkCurrent(c.config.Install.Root, p.tree, p.Args); err != nil {
			return err
		}
	}
	env, as, err := groupUser(cmp.Or(p.user, c.config.Hooks.User))
	if err != nil {
		return err
	}
	p.Env = append(env, p.Env...)
	_, err = process.Group{As: as}.Run(ctx, p.Command)
	return err
}
