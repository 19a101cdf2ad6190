package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const (
	minTimeout = 30 * time.Second // AWS's least heartbeat timeout
	maxWait    = 48 * time.Hour   // AWS's most for one wait, heartbeats or not
	maxBeats   = 100              // the same limit in heartbeat timeouts
	maxMissed  = 2                // refusals in a row before the wait counts as over
)

// HeartbeatTimeout returns how long an action waits without a heartbeat: 30 s or
// more. A group without the lifecycle hook is [ErrNoHook].
func (c *Client) HeartbeatTimeout(ctx context.Context, group, hook string) (time.Duration, error) {
	found, err := c.Describe(ctx, group, hook)
	return found.Timeout, err
}

// Description is a lifecycle hook of a group.
type Description struct {
	Terminating bool          // it waits at the end of an instance, not at its launch
	Timeout     time.Duration // how long an action waits without a heartbeat: 30 s or more
}

// Longest is AWS's limit for a whole wait, whatever heartbeats are sent.
func (d Description) Longest() time.Duration { return min(maxWait, maxBeats*d.Timeout) }

// Describe looks up a lifecycle hook. A group without it is [ErrNoHook].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeLifecycleHooks.html
func (c *Client) Describe(ctx context.Context, group, hook string) (Description, error) {
	found, err := c.lookup(ctx, Action{Group: group, Hook: hook})
	if err != nil {
		return Description{}, err
	}
	return Description{
		Terminating: aws.ToString(found.LifecycleTransition) == terminating,
		Timeout:     max(minTimeout, time.Duration(aws.ToInt32(found.HeartbeatTimeout))*time.Second),
	}, nil
}

// lookup describes one lifecycle hook.
func (c *Client) lookup(ctx context.Context, action Action) (types.LifecycleHook, error) {
	out, err := c.api.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{
		AutoScalingGroupName: aws.String(action.Group),
		LifecycleHookNames:   []string{action.Hook},
	}, c.options...)
	if err != nil {
		return types.LifecycleHook{}, fmt.Errorf("look up lifecycle hook %s: %w", action, explain(err))
	}
	for _, found := range out.LifecycleHooks {
		if aws.ToString(found.LifecycleHookName) == action.Hook {
			return found, nil
		}
	}
	return types.LifecycleHook{}, fmt.Errorf("look up lifecycle hook %s: %w", action, ErrNoHook)
}

// Heartbeat restarts the action's timeout. Where the instance is not waiting the
// error is [ErrNoAction].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RecordLifecycleActionHeartbeat.html
func (c *Client) Heartbeat(ctx context.Context, action Action) error {
	if err := action.check(); err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	_, err := c.api.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: aws.String(action.Group),
		LifecycleHookName:    aws.String(action.Hook),
		InstanceId:           aws.String(action.Instance),
	}, c.options...)
	if err != nil {
		return fmt.Errorf("send heartbeat to %s: %w", action, explain(err))
	}
	return nil
}
