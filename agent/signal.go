package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/asg"
	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/status"
	"koboshi/artifacts/store"
)

const (
	// patience is how long a boot lasts before it asks what the hook's timeout
	// is: most are over by then, and Auto Scaling's API is shared by the fleet.
	patience = 12 * time.Second
	// lastCall bounds the completion of the hook, which goes on when the run's
	// own context has ended.
	lastCall = 2 * time.Minute
)

// ErrLifecycle is a hook that could not be told how the launch ended.
var ErrLifecycle = errors.New("the lifecycle hook could not be told")

// launchHook tells which hook waits for this instance, and what could not be
// found out about it. The zero Hook means that there is nobody to tell.
type launchHook func() (asg.Hook, error)

// awaitedHook runs beside the launch, so it only reads what the launch reads.
func (r *run) awaitedHook(ctx context.Context) (asg.Hook, error) {
	name := r.config.Lifecycle.LaunchHook
	if name == "" {
		return asg.Hook{}, nil
	}
	state, err := r.Machine.TargetState(ctx)
	switch {
	case err != nil:
		err = fmt.Errorf("the target lifecycle state could not be read: %w", err)
	case state == "":
		return asg.Hook{}, nil
	}
	group, unknown := r.group(ctx)
	if group == "" {
		return asg.Hook{}, errors.Join(err, unknown)
	}
	return asg.Hook{Group: group, Name: name, Instance: r.who.ID}, err
}

func (r *run) group(ctx context.Context) (string, error) {
	if named := r.config.Lifecycle.Group; named != "" {
		return named, nil
	}
	group, _, err := r.cloud.Hooks.Group(ctx, r.who.ID)
	if err != nil {
		return "", fmt.Errorf("the Auto Scaling group could not be found: %w", err)
	}
	return group, nil
}

// keepAlive sends heartbeats to the hook, if there is one, for as long as the
// launch takes. stop ends them and waits for the last one.
func (r *run) keepAlive(ctx context.Context, hook launchHook) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		waits, _ := hook() // who signals tells of the error
		if waits == (asg.Hook{}) {
			return
		}
		r.cloud.Hooks.KeepAlive(ctx, waits, patience, func(n int, err error) {
			if err == nil {
				r.report.Lifecycle.Heartbeats = n
			}
		})
	})
	return func() { cancel(); done.Wait() }
}

// signal tells systemd and the hook how the launch ended. CONTINUE lets the
// group send requests here, ABANDON replaces the instance. An interrupted
// launch says neither: the next boot goes on with it.
func (r *run) signal(ctx context.Context, awaited launchHook, out outcome) outcome {
	if out.err == nil {
		r.ready()
	}
	hook, doubt := awaited()
	if doubt != nil {
		r.warn("%v", doubt)
	}
	if hook.Group != "" {
		r.config.Lifecycle.Group = hook.Group // for the report
	}
	if errors.Is(endedBy(ctx), ErrInterrupted) || out.err != nil && r.config.Lifecycle.OnFailure == config.Wait {
		return out
	}
	if hook == (asg.Hook{}) {
		return r.launched(out, "")
	}
	if errors.Is(out.err, instance.ErrNoCredentials) {
		return out // they have been waited for, and the hook would need them too
	}
	result := asg.Continue
	if out.err != nil {
		result = asg.Abandon
	}
	if err := r.tell(ctx, hook, result); err != nil {
		return r.untold(out, err)
	}
	return r.launched(out, string(result))
}

// untold is a launch whose hook does not know: one that serves still has to be
// reported as failing, since its hook's timeout will decide over it.
func (r *run) untold(out outcome, err error) outcome {
	if out.err == nil {
		out.err = err
		return out
	}
	r.warn("%v", err)
	return out
}

// launched remembers that this instance is through its launch.
func (r *run) launched(out outcome, result string) outcome {
	if err := r.recordSignal(result); err != nil {
		return r.untold(out, fmt.Errorf("remember the launch: %w: %w", store.ErrDisk, err))
	}
	return out
}

// tell completes the hook. That nobody waits any more, or never did, is no
// error: what counts is that the launch can go on.
func (r *run) tell(ctx context.Context, hook asg.Hook, result asg.Result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()
	return r.steps.Do(ctx, "signal", func(ctx context.Context, _ *status.Span) error {
		found, err := r.cloud.Hooks.Complete(ctx, hook, result)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLifecycle, err)
		}
		switch found.End {
		case asg.Completed:
			r.report.Lifecycle.Hook, r.report.Lifecycle.Result = hook.Name, string(result)
		case asg.AlreadyOver:
			r.warn("hook %s no longer waits: the instance is %s", hook.Name, found.State)
		case asg.NoHook:
		}
		return nil
	})
}

// ready lets systemd start what is ordered after the boot.
func (r *run) ready() {
	if err := r.Ready(); err != nil {
		r.warn("systemd could not be told: %v", err)
	}
}

// prune removes what is no longer kept. It comes last: deleting a tree slows
// the disk down for everyone who still waits.
func (r *run) prune(ctx context.Context) {
	err := r.steps.Do(ctx, "prune", func(ctx context.Context, _ *status.Span) error {
		_, err := r.Store.Prune(ctx, r.config.Install.Keep)
		return err
	})
	if err != nil {
		r.warn("old releases could not be removed: %v", err)
	}
}
