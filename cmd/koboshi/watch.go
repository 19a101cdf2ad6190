package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/drain"
	"koboshi/agent/failure"
	"koboshi/agent/flush"
	"koboshi/agent/instance"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/systemd"
)

func (c *cli) watch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "watch what is to become of this instance, and drain it in time",
		Long: "Ask the instance metadata every 5 s whether this instance is to end, and drain it then, as\n" +
			"koboshi drain does: at scale-in, before a Spot interruption, on the way back into a warm pool.\n" +
			"On the way out of a warm pool the boot is started again. It runs until it is stopped; where\n" +
			"that is since the machine shuts down, what the app has written is flushed first." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Internal, failure.Interrupted),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runWatch(cmd.Context()) },
	}
}

func (c *cli) runWatch(ctx context.Context) error {
	a, err := c.newAgent(context.WithoutCancel(ctx)) // what a shutdown leaves to be done outlives ctx
	if err != nil {
		return err
	}
	a.By = "" // started by the machine, not by a person
	notify := systemd.Notifier{}
	debug.SetMemoryLimit(idleMemory)
	alive := func(status string) {
		_ = notify.Watchdog() // without systemd there is no one to notify
		_ = notify.Status(status)
	}
	if err := notify.Ready(); err != nil {
		c.ui.warn(err.Error())
	}
	c.warnOfNoLetGo(a.Files)
	clockSet, err := nodeid.ClockSet(ctx)
	if err != nil {
		c.ui.warn(fmt.Sprintf("that the clock is set is seen late: %v", err))
	}
	return a.Watch(ctx, agent.WatchOptions{
		ClockSet: clockSet,
		Notices:  impatient(),
		Stopping: stopping,
		Relaunch: func(ctx context.Context) error { return relaunch(ctx, c.bootUnit()) },
		Alive:    alive,
		Ended:    c.drained,
		Warn: func(format string, args ...any) {
			c.ui.warn(report.Clean(fmt.Sprintf(format, args...), report.MaxText))
		},
	})
}

// idleMemory is a soft limit, in bytes, for a process that waits for weeks next to the
// app. A drain sets a higher one when it connects to AWS.
const idleMemory = 10 << 20

// warnOfNoLetGo says once that nothing will be waited for.
func (c *cli) warnOfNoLetGo(cfg *config.Config) {
	if cfg.Lifecycle.TerminateHook == "" && len(cfg.Drain.TargetGroups) == 0 {
		c.ui.warn("there is neither lifecycle.terminate_hook nor drain.target_groups: the app serves until the instance shuts down, and its logs are flushed then")
	}
}

// drained prints how a drain ended.
func (c *cli) drained(rep report.Report, err error) {
	for _, w := range rep.Warnings {
		c.ui.warn(w)
	}
	c.ui.summary(rep)
	if err != nil {
		c.ui.fail(err)
	}
}

// impatient is the metadata as a watch asks it: what does not answer now is asked
// again in a moment.
func impatient() *instance.Metadata { return instance.New(instance.Options{Patience: 2 * time.Second}) }

// stopping reports whether the machine shuts down. Where systemd is not PID 1 it never
// does.
func stopping(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	m, err := systemd.Connect(ctx)
	if err != nil {
		return false
	}
	defer m.Close()
	stopping, err := m.Stopping(ctx)
	return err == nil && stopping
}

// relaunch starts the boot unit again, unless it is starting already, and does not wait
// for it.
func relaunch(ctx context.Context, unit string) error {
	m, err := systemd.Connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	state, err := m.State(ctx, unit)
	if err != nil || state.Active == "activating" {
		return err
	}
	return m.Enqueue(ctx, unit)
}

// flushers are the log shippers of the configuration.
func flushers(app service.Service) func(*config.Config) ([]drain.Flusher, error) {
	return func(cfg *config.Config) (all []drain.Flusher, err error) {
		for _, name := range slices.Sorted(maps.Keys(cfg.Drain.Flush)) {
			f, err := flush.New(name, cfg.Drain.Flush[name], flush.Deps{Command: app.AskShipper})
			if err != nil {
				return nil, err // the configuration was checked for it
			}
			all = append(all, f)
		}
		return all, nil
	}
}

// clock is the kernel's. Without /proc every process is a boot of its own.
func clock() state.Clock {
	c, err := state.SystemClock()
	if err != nil {
		began := time.Now()
		return state.Clock{Boot: fmt.Sprint(os.Getpid(), began.UnixNano()), Uptime: func() time.Duration { return time.Since(began) }}
	}
	return c
}
