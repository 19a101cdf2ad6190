package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/artifacts/pace"
)

// lastCall is how long the completion of the hook goes on when the run's own
// context has ended.
const lastCall = 2 * time.Minute

// launchHook tells which hook waits for this instance, and what could not be
// found out about it. The zero Hook means that there is nobody to tell.
type launchHook func() (lifecycle.Action, error)

// awaitedHook runs beside the launch, so it only reads what the launch reads.
func (r *run) awaitedHook(ctx context.Context) (lifecycle.Action, error) {
	name := r.config.Lifecycle.LaunchHook
	if name == "" {
		return lifecycle.Action{}, nil
	}
	state, err := r.Machine.TargetState(ctx)
	switch {
	case err != nil:
		err = fmt.Errorf("the target lifecycle state could not be read: %w", err)
	case state == "":
		return lifecycle.Action{}, nil
	}
	group, unknown := r.group(ctx)
	if group == "" {
		return lifecycle.Action{}, errors.Join(err, unknown)
	}
	return lifecycle.Action{Group: group, Hook: name, Instance: r.who.ID}, err
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
// launch takes. stop ends them and waits for the last one. Before
// lifecycle.heartbeat_after, and what the fleet spreads, nothing is asked: most
// launches are over by then, and Auto Scaling's rate is shared.
func (r *run) keepAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		waits, _ := r.waiting() // who signals tells of the error
		if waits == (lifecycle.Action{}) {
			return
		}
		after := time.Duration(r.config.Lifecycle.HeartbeatAfter + r.config.Lifecycle.ContinueJitter)
		r.cloud.Hooks.KeepAlive(ctx, waits, after, func(n int, err error) {
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
func (r *run) signal(ctx context.Context, out outcome) outcome {
	if out.err == nil {
		r.ready()
	}
	hook, doubt := r.waiting()
	if doubt != nil {
		r.warn("%v", doubt)
	}
	if hook.Group != "" {
		r.config.Lifecycle.Group = hook.Group // for the report
	}
	if errors.Is(endedBy(ctx), failure.ErrInterrupted) || out.err != nil && r.config.Lifecycle.OnFailure == config.Wait {
		return out
	}
	if hook == (lifecycle.Action{}) {
		return r.launched(out, "")
	}
	if errors.Is(out.err, instance.ErrNoCredentials) {
		return out // they have been waited for, and the hook would need them too
	}
	result := lifecycle.Continue
	if out.err != nil {
		result = lifecycle.Abandon
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
		return r.untold(out, fmt.Errorf("remember the launch: %w", err))
	}
	return out
}

// tell completes the hook, for as long as the run has time and a little longer.
// That nobody waits any more, or never did, is no error: what counts is that the
// launch can go on.
func (r *run) tell(ctx context.Context, hook lifecycle.Action, result lifecycle.Result) error {
	ctx, cancel := outlive(ctx, lastCall)
	defer cancel()
	return r.steps.Do(ctx, "signal", func(ctx context.Context, _ *report.Span) error {
		found, err := r.cloud.Hooks.Complete(ctx, hook, result)
		if err != nil {
			return fmt.Errorf("%w: %w", lifecycle.ErrNotCompleted, err)
		}
		switch found.End {
		case lifecycle.Completed:
			r.report.Lifecycle.Hook, r.report.Lifecycle.Result = hook.Hook, string(result)
		case lifecycle.AlreadyOver:
			r.warn("hook %s no longer waits: the instance is %s", hook.Hook, found.State)
		case lifecycle.NoHook:
		}
		return nil
	})
}

// outlive returns a context that ends some time after ctx does.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		_ = pace.Sleep(longer, by)
	})
	return longer, func() { stop(); cancel() }
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
	err := r.steps.Do(ctx, "prune", func(ctx context.Context, _ *report.Span) error {
		_, err := r.Store.Prune(ctx, r.config.Install.Keep)
		return err
	})
	if err != nil {
		r.warn("old releases could not be removed: %v", err)
	}
}
