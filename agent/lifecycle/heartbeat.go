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
	maxBeats   = 100              // and in heartbeat timeouts
	maxMissed  = 2                // refusals in a row before the wait counts as over
)

// HeartbeatTimeout returns how long the hook waits without a heartbeat: 30 s or
// more. A group without the hook is [ErrNoHook].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeLifecycleHooks.html
func (c *Client) HeartbeatTimeout(ctx context.Context, group, hook string) (time.Duration, error) {
	found, err := c.lookup(ctx, Hook{Group: group, Name: hook})
	if err != nil {
		return 0, err
	}
	return max(minTimeout, time.Duration(aws.ToInt32(found.HeartbeatTimeout))*time.Second), nil
}

// lookup describes one hook.
func (c *Client) lookup(ctx context.Context, hook Hook) (types.LifecycleHook, error) {
	out, err := c.api.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{
		AutoScalingGroupName: aws.String(hook.Group),
		LifecycleHookNames:   []string{hook.Name},
	}, c.options...)
	if err != nil {
		return types.LifecycleHook{}, fmt.Errorf("look up hook %s: %w", hook, err)
	}
	for _, found := range out.LifecycleHooks {
		if aws.ToString(found.LifecycleHookName) == hook.Name {
			return found, nil
		}
	}
	return types.LifecycleHook{}, fmt.Errorf("look up hook %s: %w", hook, ErrNoHook)
}

// Heartbeat starts the hook's timeout anew. Where the instance does not wait in
// the hook the error is [ErrNoAction].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RecordLifecycleActionHeartbeat.html
func (c *Client) Heartbeat(ctx context.Context, hook Hook) error {
	if err := hook.check(); err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	_, err := c.api.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: aws.String(hook.Group),
		LifecycleHookName:    aws.String(hook.Name),
		InstanceId:           aws.String(hook.Instance),
	}, c.options...)
	if err != nil {
		return fmt.Errorf("send heartbeat to %s: %w", hook, explain(err))
	}
	return nil
}
