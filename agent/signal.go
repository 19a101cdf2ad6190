package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/failure"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/pace"
)

// lastCall is how long completing the lifecycle action goes on when the run's
// own context has ended.
const lastCall = 2 * time.Minute

// errTerminating is a launch that is over before it has begun.
var errTerminating = failure.WithHint(fmt.Errorf("%w: the instance is being terminated", lifecycle.ErrNotCompleted), "nothing is to be done: Auto Scaling replaces the instance")

// checkTarget refuses to bring up an instance that is on its way out.
func (r *run) checkTarget(ctx context.Context) error {
	target, err := r.agent.Machine.TargetState(ctx)
	if err != nil {
		r.warn("the target lifecycle state could not be read: %v", err)
	}
	if lifecycle.Leaving(target) {
		return errTerminating
	}
	return nil
}

// awaitedAction is what waits for this instance. The zero action with no error
// is certainty that nothing does; an error is doubt. It runs beside the launch,
// so it only reads what the launch reads.
//
// With a group known, there is an action to try: metadata shows only the state
// that the group wants, later than it is wanted, and completing an action finds
// out the rest.
func (r *run) awaitedAction(ctx context.Context) (lifecycle.Action, error) {
	action := lifecycle.Action{Group: r.Config.Lifecycle.Group, Hook: r.Config.Lifecycle.LaunchHook, Instance: r.Instance.ID}
	if action.Hook == "" {
		return lifecycle.Action{}, nil
	}
	if action.Group != "" {
		return action, nil
	}
	target, err := r.agent.Machine.TargetState(ctx)
	if err == nil && target == "" {
		return lifecycle.Action{}, nil // in no group
	}
	if action.Group, _, err = r.cloud.Lifecycle.Group(ctx, r.Instance.ID); err != nil {
		err = fmt.Errorf("the Auto Scaling group could not be found: %w", err)
		return lifecycle.Action{}, failure.WithHint(err, "set lifecycle.group, switch instance tags on in the metadata, or allow autoscaling:DescribeAutoScalingInstances")
	}
	if action.Group == "" {
		return lifecycle.Action{}, nil
	}
	return action, nil
}

// awaited reports whether a lifecycle action waits for this run.
func (r *run) awaited() bool {
	if r.action == nil {
		return false
	}
	action, _ := r.action() // signal reports the error
	return action != (lifecycle.Action{})
}

// keepAlive looks for the lifecycle action that waits for this launch and sends
// heartbeats for it, for as long as the launch takes. stop ends both and waits
// for them. No heartbeat is sent before lifecycle.heartbeat_after and the jitter
// of CONTINUE: most launches are over by then, and Auto Scaling's rate is shared.
func (r *run) keepAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	r.action = sync.OnceValues(func() (lifecycle.Action, error) { return r.awaitedAction(ctx) })
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
	if r.Config.Lifecycle.OnFailure == config.Wait || errors.Is(failed, instance.ErrNoCredentials) || errors.Is(failed, errTerminating) || !r.awaited() {
		return
	}
	_ = r.pause(ctx, "abandon delay", r.share(time.Duration(r.Config.Lifecycle.AbandonDelay))) // ABANDON follows in any case
}

// interrupted reports whether something other than the deadline has ended ctx.
func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), failure.ErrDeadline)
}

// signal completes the lifecycle action. CONTINUE lets the group send requests
// here, ABANDON replaces the instance. An interrupted launch does neither: the
// next boot continues it.
func (r *run) signal(ctx context.Context, out converge.Outcome) converge.Outcome {
	if interrupted(ctx) {
		return converge.Failed(ctx, cmp.Or(out.Err, context.Cause(ctx)))
	}
	if out.Err != nil && r.Config.Lifecycle.OnFailure == config.Wait {
		return out
	}
	longer, cancel := outlive(ctx, lastCall)
	defer cancel()
	action, err := r.certainAction(longer)
	switch {
	case err != nil:
		return r.completionFailed(out, err)
	case action == (lifecycle.Action{}):
		return r.recordLaunch(out, "")
	case errors.Is(out.Err, instance.ErrNoCredentials):
		return out // they were waited for, and completing needs them too
	}
	r.Config.Lifecycle.Group = action.Group // for the report
	return r.completeWith(longer, action, out)
}

// completeWith completes the action as the launch has ended. One whose app is
// found dead at that moment has failed.
func (r *run) completeWith(ctx context.Context, action lifecycle.Action, out converge.Outcome) converge.Outcome {
	result := lifecycle.Continue
	var err error
	if out.Err == nil {
		err = r.complete(ctx, action, result)
		if errors.Is(err, health.ErrUnhealthy) {
			out = converge.Outcome{Verdict: report.Failed, Err: err}
			r.delayAbandon(ctx, err)
		}
	}
	if out.Err != nil {
		if r.Config.Lifecycle.OnFailure == config.Wait {
			return out
		}
		result = lifecycle.Abandon
		err = r.complete(ctx, action, result)
	}
	if err != nil {
		return r.completionFailed(out, err)
	}
	return r.recordLaunch(out, string(result))
}

// certainAction is the action that waits for this launch. What was in doubt is
// asked again, and so is whether there is a group, and whether the instance is
// wanted at all: metadata may not have known yet.
func (r *run) certainAction(ctx context.Context) (lifecycle.Action, error) {
	if err := r.checkTarget(ctx); err != nil {
		return lifecycle.Action{}, err
	}
	action, doubt := r.action()
	if doubt != nil || action == (lifecycle.Action{}) {
		action, doubt = r.awaitedAction(ctx)
	}
	if doubt != nil {
		return action, notCompleted(ctx, doubt)
	}
	return action, nil
}

// notCompleted is an error of completing an action. What ended ctx comes first.
func notCompleted(ctx context.Context, err error) error {
	return fmt.Errorf("%w: %w", lifecycle.ErrNotCompleted, converge.Because(context.Cause(ctx), err))
}

// complete completes the action. CONTINUE is preceded by a look at the app, as
// close to it as can be; the error is what is wrong with the app then. That
// nothing waits any more, or never did, is no error.
func (r *run) complete(ctx context.Context, action lifecycle.Action, result lifecycle.Result) error {
	var look func(context.Context) error
	var wrong error
	if result == lifecycle.Continue {
		look = func(ctx context.Context) error { wrong = r.Look(ctx); return wrong }
	}
	return r.Steps.Do(ctx, "signal", func(ctx context.Context, _ *report.Span) error {
		found, err := r.cloud.Lifecycle.Complete(ctx, action, result, look)
		switch {
		case errors.Is(wrong, health.ErrUnhealthy):
			return fmt.Errorf("just before %s: %w", result, wrong)
		case err != nil:
			return notCompleted(ctx, err)
		}
		switch found.End {
		case lifecycle.Completed:
			r.report.Lifecycle.Hook, r.report.Lifecycle.Result = action.Hook, string(result)
		case lifecycle.AlreadyOver:
			r.warn("lifecycle hook %s does not wait for this instance, which is %s", action.Hook, cmp.Or(found.State, "in no group"))
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

// recordLaunch makes durable that this instance is through its launch.
func (r *run) recordLaunch(out converge.Outcome, result string) converge.Outcome {
	r.state.Instance = r.Instance.ID
	r.state.Signalled = &state.Signal{Result: result, At: r.Now().UTC().Truncate(time.Second)}
	if err := r.saveState(); err != nil {
		return r.completionFailed(out, fmt.Errorf("record the launch: %w", err))
	}
	return out
}

// errLastCall ends the time that completing an action has after its launch.
var errLastCall = fmt.Errorf("no success within %s of the end of the launch", lastCall)

// outlive returns a context that ends some time after ctx does.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		_ = pace.Sleep(longer, by)
		cancel(errLastCall)
	})
	return longer, func() { stop(); cancel(nil) }
}
