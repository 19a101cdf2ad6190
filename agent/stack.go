package agent

import (
	"context"
	"errors"
	"fmt"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/health"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
)

// finish signals the stack as the lifecycle action was completed, or would have been
// where none waits, and records that the launch is over. A success is reported after
// CONTINUE, a failure before ABANDON.
func (r *run) finish(ctx context.Context, out converge.Outcome, result lifecycle.Result) converge.Outcome {
	if out.Err == nil {
		err := r.signalStack(ctx, lifecycle.Success)
		switch {
		case errors.Is(err, health.ErrUnhealthy):
			out = converge.Outcome{Verdict: report.Failed, Err: err}
		case err != nil:
			return r.completionFailed(out, err)
		}
	}
	if out.Err != nil {
		if r.Config.Lifecycle.OnFailure == config.Wait {
			return out
		}
		if err := r.signalStack(ctx, lifecycle.Failure); err != nil {
			return r.completionFailed(out, err)
		}
	}
	return r.recordLaunch(out, string(result))
}

// stackResource is what waits for a signal of this instance, zero where nothing does. A
// stack counts instances that serve: one that goes into a warm pool signals on its way
// out.
func (r *run) stackResource() lifecycle.Resource {
	s := r.Config.Signal
	if s.Stack == "" || r.pooled {
		return lifecycle.Resource{}
	}
	return lifecycle.Resource{Stack: s.Stack, Name: s.Resource, Instance: r.Instance.ID}
}

// signalStack sends a signal that has not been sent yet. SUCCESS is preceded by a
// look at the app; the error is what is wrong with it then. A stack that does not
// wait is no error: it is so whenever the group launches without it.
func (r *run) signalStack(ctx context.Context, status lifecycle.Status) (err error) {
	resource := r.stackResource()
	if resource == (lifecycle.Resource{}) || r.stackOver || r.report.Stack.Result == string(status) {
		return nil
	}
	defer r.Steps.Begin("stack").End(&err)
	var look func(context.Context) error
	if status == lifecycle.Success {
		look = r.Look
	}
	end, err := r.cloud.Stacks.Signal(ctx, resource, status, look)
	switch {
	case errors.Is(err, health.ErrUnhealthy):
		return fmt.Errorf("just before %s: %w", status, err)
	case err != nil:
		err = fmt.Errorf("%w: %w", lifecycle.ErrNotSignalled, converge.Because(context.Cause(ctx), err))
		return err
	case end == lifecycle.AlreadyOver:
		r.stackOver = true
		return nil
	}
	r.report.Stack = report.Stack{Name: resource.Stack, Resource: resource.Name, Result: string(status)}
	return nil
}
