package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/pace"
)

// lastCall is how long completing the lifecycle action goes on when the run's
// own context has ended.
const lastCall = 2 * time.Minute

// findAction has the lifecycle action looked for while the launch goes on, once.
func (r *run) findAction(ctx context.Context) {
	r.action = sync.OnceValues(func() (lifecycle.Action, error) { return r.awaitedAction(ctx) })
}

// awaitedAction is what waits for this instance, and what could not be found out
// about it. It runs beside the launch, so it only reads what the launch reads.
func (r *run) awaitedAction(ctx context.Context) (lifecycle.Action, error) {
	hook := r.Config.Lifecycle.LaunchHook
	if hook == "" {
		return lifecycle.Action{}, nil
	}
	target, err := r.agent.Machine.TargetState(ctx)
	switch {
	case err != nil:
		err = fmt.Errorf("the target lifecycle state could not be read: %w", err)
	case target == "":
		return lifecycle.Action{}, nil
	}
	group := r.Config.Lifecycle.Group
	if group == "" {
		var unknown error
		if group, _, unknown = r.cloud.Lifecycle.Group(ctx, r.Instance.ID); unknown != nil {
			err = errors.Join(err, fmt.Errorf("the Auto Scaling group could not be found: %w", unknown))
		}
	}
	if group == "" {
		return lifecycle.Action{}, err
	}
	return lifecycle.Action{Group: group, Hook: hook, Instance: r.Instance.ID}, err
}

// awaited reports whether a lifecycle action waits for this run.
func (r *run) awaited() bool {
	if r.action == nil {
		return false
	}
	action, _ := r.action() // signal reports the error
	return action != (lifecycle.Action{})
}

// keepAlive sends heartbeats for the lifecycle action, if there is one, for as
// long as the launch takes. stop ends them and waits for the last one. Nothing is
// asked before lifecycle.heartbeat_after and the jitter of CONTINUE: most
// launches are over by then, and Auto Scaling's rate is shared.
func (r *run) keepAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		action, _ := r.action() // signal reports the error
		if action == (lifecycle.Action{}) {
			return
		}
		after := time.Duration(r.Config.Lifecycle.HeartbeatAfter + r.Config.Lifecycle.ContinueJitter)
		r.cloud.Lifecycle.KeepAlive(ctx, action, after, func(n int, err error) {
			if err == nil {
				r.report.Lifecycle.Heartbeats = n
			}
		})
	})
	return func() { cancel(); done.Wait() }
}

// jitterContinue holds CONTINUE back, once a launch, and before the channel is
// checked for the last time: if thousands complete their actions at the same
// moment, Auto Scaling refuses most of them. The app runs already, and systemd
// may know.
func (r *run) jitterContinue(ctx context.Context) {
	wait := r.share(time.Duration(r.Config.Lifecycle.ContinueJitter))
	if r.jittered || wait == 0 || !r.awaited() {
		return
	}
	r.jittered = true
	r.ready()
	_ = r.pause(ctx, "continue jitter", wait) // what ends it ends the launch as well
}

// delayAbandon waits before ABANDON: a fleet that fails together is not to be
// launched again in step.
func (r *run) delayAbandon(ctx context.Context, failed error) {
	if r.Config.Lifecycle.OnFailure == config.Wait || errors.Is(failed, instance.ErrNoCredentials) || !r.awaited() {
		return
	}
	_ = r.pause(ctx, "abandon delay", r.share(time.Duration(r.Config.Lifecycle.AbandonDelay))) // ABANDON follows in any case
}

// signal reports to systemd and completes the lifecycle action. CONTINUE lets
// the group send requests here, ABANDON replaces the instance. An interrupted
// launch does neither: the next boot continues it.
func (r *run) signal(ctx context.Context, out converge.Outcome) converge.Outcome {
	if out.Err == nil {
		r.ready()
	}
	action, doubt := r.action()
	if doubt != nil {
		r.warn("%v", doubt)
	}
	if action.Group != "" {
		r.Config.Lifecycle.Group = action.Group // for the report
	}
	if errors.Is(converge.EndedBy(ctx), failure.ErrInterrupted) || out.Err != nil && r.Config.Lifecycle.OnFailure == config.Wait {
		return out
	}
	if action == (lifecycle.Action{}) {
		return r.launched(out, "")
	}
	if errors.Is(out.Err, instance.ErrNoCredentials) {
		return out // they were waited for, and completing needs them too
	}
	result := lifecycle.Continue
	if out.Err != nil {
		result = lifecycle.Abandon
	}
	if err := r.complete(ctx, action, result); err != nil {
		return r.completionFailed(out, err)
	}
	return r.launched(out, string(result))
}

// complete completes the action, for as long as the run has time and a little
// longer. That nothing waits any more, or never did, is no error.
func (r *run) complete(ctx context.Context, action lifecycle.Action, result lifecycle.Result) error {
	ctx, cancel := outlive(ctx, lastCall)
	defer cancel()
	return r.Steps.Do(ctx, "signal", func(ctx context.Context, _ *report.Span) error {
		found, err := r.cloud.Lifecycle.Complete(ctx, action, result)
		if err != nil {
			return fmt.Errorf("%w: %w", lifecycle.ErrNotCompleted, err)
		}
		switch found.End {
		case lifecycle.Completed:
			r.report.Lifecycle.Hook, r.report.Lifecycle.Result = action.Hook, string(result)
		case lifecycle.AlreadyOver:
			r.warn("lifecycle hook %s no longer waits: the instance is %s", action.Hook, found.State)
		case lifecycle.NoHook:
		}
		return nil
	})
}

// completionFailed is the end of a launch whose action was not completed. One
// whose app runs still fails, since the action's timeout decides over it.
func (r *run) completionFailed(out converge.Outcome, err error) converge.Outcome {
	if out.Err == nil {
		out.Err = err
		return out
	}
	r.warn("%v", err)
	return out
}

// launched makes durable that this instance is through its launch.
func (r *run) launched(out converge.Outcome, result string) converge.Outcome {
	r.state.Instance = r.Instance.ID
	r.state.Signalled = &state.Signal{Result: result, At: r.Now().UTC().Truncate(time.Second)}
	if err := r.state.Save(r.agent.StateDir); err != nil {
		return r.completionFailed(out, fmt.Errorf("record the launch: %w", err))
	}
	return out
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
