package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"koboshi/artifacts/pace"
)

// LastCall is how long completing an action may go on when the time of the sequence that
// it ends is over.
const LastCall = 2 * time.Minute

// End is how a lifecycle action ended.
type End string

// The ends of a lifecycle action.
const (
	Completed   End = "completed"    // by this call
	AlreadyOver End = "already over" // by an earlier call, or by the action's own timeout
	NoHook      End = "no hook"      // the group has no such lifecycle hook
)

// Outcome is how Complete ended. State is the instance's lifecycle state
// where it was looked up; "" is an instance in no group.
type Outcome struct {
	End   End
	State string
}

// Complete completes the action with the result. While the action has not begun
// (the instance is still entering the lifecycle hook) it tries again until ctx
// ends, after 2 s to 4 s and then ever less often. While the service throttles or
// fails it also tries again, within the retryer's budget: after up to 5 s, 20 s,
// 80 s and then two minutes; a call that failed without being throttled is first
// repeated after a fraction of a second. An action that is over, and a lifecycle
// hook that does not exist, are no errors.
//
// ready, if not nil, is called just before each request, so that minutes of
// throttling cannot make the result outdated. Its error ends the attempt and is
// returned.
//
// It is the last call of a sequence and must also work after that was cancelled:
// give it context.WithTimeout(context.WithoutCancel(ctx), …).
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html
func (c *Client) Complete(ctx context.Context, action Action, result Result, ready func(context.Context) error) (Outcome, error) {
	if err := action.check(); err != nil {
		return Outcome{}, fmt.Errorf("complete lifecycle action: %w", err)
	}
	c = c.paced(action.Instance).attempts(0)
	look := look{client: c, action: action}
	for round := 1; ; round++ {
		err := c.onlyIf(ready).complete(ctx, action, result)
		if err == nil {
			return Outcome{End: Completed}, nil
		}
		if refused, ok := errors.AsType[notReady](err); ok {
			return Outcome{}, refused.error
		}
		if !errors.Is(err, ErrNoAction) {
			return Outcome{}, err
		}
		outcome, err := look.again(ctx)
		if err != nil || outcome.End != "" {
			return outcome, err
		}
		if err := pace.Sleep(ctx, notBegun.Pause(round, pace.Share(action.Instance, round))); err != nil {
			return Outcome{}, fmt.Errorf("complete %s: %w while %s: %w", action, ErrNoAction, outcome.State, err)
		}
	}
}

// complete makes the call once.
func (c *Client) complete(ctx context.Context, action Action, result Result) error {
	_, err := c.api.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName:  aws.String(action.Group),
		LifecycleHookName:     aws.String(action.Hook),
		InstanceId:            aws.String(action.Instance),
		LifecycleActionResult: aws.String(string(result)),
	}, c.options...)
	if err != nil {
		return fmt.Errorf("complete %s with %s: %w", action, result, c.because(ctx, explain(err)))
	}
	return nil
}

// look finds out why there is no active action.
type look struct {
	client     *Client
	action     Action
	transition string // the lifecycle hook's, once that has been looked up
}

// again looks up the instance, and once the lifecycle hook if the instance may be
// entering it. An outcome without End is an action that has not begun yet.
func (l *look) again(ctx context.Context) (Outcome, error) {
	_, state, err := l.client.Group(ctx, l.action.Instance)
	if err != nil {
		return Outcome{}, err
	}
	if !entering(state, launching) && !entering(state, terminating) {
		return Outcome{End: AlreadyOver, State: state}, nil
	}
	if l.transition == "" {
		found, err := l.client.lookup(ctx, l.action)
		if errors.Is(err, ErrNoHook) {
			return Outcome{End: NoHook, State: state}, nil
		}
		if err != nil {
			return Outcome{}, err
		}
		l.transition = aws.ToString(found.LifecycleTransition)
	}
	if !entering(state, l.transition) {
		return Outcome{End: AlreadyOver, State: state}, nil
	}
	return Outcome{State: state}, nil
}

// The transitions that a lifecycle hook can be for.
const (
	launching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	terminating = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// notBegun is the pause while the action has not begun, after each round.
var notBegun = pace.Backoff{First: 4 * time.Second, Most: 24 * time.Second}
