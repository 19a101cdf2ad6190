package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// jitterContinue delays CONTINUE, once a launch, and before the channel is checked
// for the last time: if thousands complete their actions at the same
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
	longer, cancel := pace.Outlive(ctx, lifecycle.LastCall, errLastCall)
	defer cancel()
	action, err := r.certainAction(longer)
	switch {
	case errors.Is(err, errTerminating):
		return r.completionFailed(out, err)
	case err != nil:
		if out.Err != nil {
			_ = r.signalStack(longer, lifecycle.Failure) // a warning tells of it; in doubt no success is reported
		}
		return r.completionFailed(out, err)
	case action == (lifecycle.Action{}):
		return r.finish(longer, out, "")
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
		_ = r.signalStack(ctx, lifecycle.Failure) // before ABANDON ends this instance; finish tries again
		result = lifecycle.Abandon
		err = r.complete(ctx, action, result)
	}
	if err != nil {
		return r.completionFailed(out, err)
	}
	return r.finish(ctx, out, result)
}

// notCompleted is an error of completing an action. What ended ctx comes first.
func notCompleted(ctx context.Context, err error) error {
	return fmt.Errorf("%w: %w", lifecycle.ErrNotCompleted, converge.Because(context.Cause(ctx), err))
}

// complete completes the action. CONTINUE is preceded by a look at the app, as
// close to it as can be; the error is what is wrong with the app then. That
// nothing waits any more, or never did, is no error.
func (r *run) complete(ctx context.Context, action lifecycle.Action, result lifecycle.Result) (err error) {
	defer r.Steps.Begin("signal").End(&err)
	var look func(context.Context) error
	var wrong error
	if result == lifecycle.Continue && !r.pooled {
		look = func(ctx context.Context) error { wrong = r.Look(ctx); return wrong }
	}
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
	r.state.Signalled = &state.Signal{
		Result: result, At: r.Now().UTC().Truncate(time.Second), Stack: r.report.Stack.Result, Pooled: r.pooled,
	}
	if err := r.saveState(); err != nil {
		r.warn("that the launch is over could not be recorded, so that the next boot asks again: %v", err)
	}
	return out
}

// errLastCall ends the time that completing an action has after its launch.
var errLastCall = fmt.Errorf("no success within %s of the end of the launch", lifecycle.LastCall)
