package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"koboshi/agent/failure"
	"koboshi/agent/lifecycle"
)

// errTerminating is a launch that is over before it has begun.
var errTerminating = failure.WithHint(fmt.Errorf("%w: the instance is being terminated", lifecycle.ErrNotCompleted), "nothing is to be done: Auto Scaling replaces the instance")

// askTargetState asks for the target lifecycle state of a launch while the tags are
// read.
func (r *run) askTargetState(ctx context.Context) {
	if r.state.Signalled != nil {
		return
	}
	var target string
	var err error
	var asking sync.WaitGroup
	asking.Go(func() { target, err = r.agent.Machine.TargetState(ctx) })
	r.targetState = func() (string, error) { asking.Wait(); return target, err }
}

// newTargetState is the target lifecycle state: the one that was asked for ahead, the
// first time that it is needed and where it was read.
func (r *run) newTargetState(ctx context.Context) (string, error) {
	ahead := r.targetState
	r.targetState = nil
	if ahead != nil {
		if target, err := ahead(); err == nil {
			return target, nil
		}
	}
	return r.agent.Machine.TargetState(ctx)
}

// checkTarget refuses to bring up an instance that is to be terminated, and finds out
// whether it goes into a warm pool.
func (r *run) checkTarget(ctx context.Context) error {
	target, err := r.newTargetState(ctx)
	if err != nil {
		r.warn("the target lifecycle state could not be read: %v", err)
	}
	if lifecycle.Leaving(target) {
		return errTerminating
	}
	if err == nil {
		r.pooled = lifecycle.TargetOf(target) == lifecycle.Warm
	}
	return nil
}

// awaitedAction is the lifecycle action that waits for this instance. The zero
// action without an error means that certainly none waits; an error means doubt.
// It runs in parallel with the launch, so it only reads what the launch reads.
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
	if action.Group, err = r.lookUpGroup(ctx); err != nil || action.Group == "" {
		return lifecycle.Action{}, err
	}
	return action, nil
}

// lookUpGroup asks Auto Scaling for the group of this instance, "" = in none.
func (r *run) lookUpGroup(ctx context.Context) (string, error) {
	group, _, err := r.cloud.Lifecycle.Group(ctx, r.Instance.ID)
	if err != nil {
		err = fmt.Errorf("the Auto Scaling group could not be found: %w", err)
		return "", failure.WithHint(err, "set lifecycle.group, switch instance tags on in the metadata, or allow autoscaling:DescribeAutoScalingInstances")
	}
	return group, nil
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

// awaited reports whether a lifecycle action waits for this run, or a stack may.
func (r *run) awaited() bool {
	if r.action == nil {
		return false
	}
	action, _ := r.action() // signal reports the error
	return action != (lifecycle.Action{}) || r.stackResource() != (lifecycle.Resource{})
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
