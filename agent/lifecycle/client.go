package lifecycle

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// Client calls Auto Scaling. It is safe for concurrent use.
type Client struct {
	api     api
	options []func(*autoscaling.Options) // of each call
	last    *error                       // of a paced client, the last one that was worth another attempt
}

// api is what the package uses of the service.
type api interface {
	CompleteLifecycleAction(context.Context, *autoscaling.CompleteLifecycleActionInput, ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error)
	RecordLifecycleActionHeartbeat(context.Context, *autoscaling.RecordLifecycleActionHeartbeatInput, ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error)
	DescribeAutoScalingInstances(context.Context, *autoscaling.DescribeAutoScalingInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingInstancesOutput, error)
	DescribeLifecycleHooks(context.Context, *autoscaling.DescribeLifecycleHooksInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error)
}

// New returns a client with cfg's region, credentials, endpoint and retryer.
func New(cfg aws.Config) *Client {
	return &Client{api: autoscaling.NewFromConfig(cfg)}
}

// Group returns the Auto Scaling group of an instance and its current lifecycle
// state (Pending:Wait, InService, Warmed:Stopped…). Both are "" where it is in
// none. A call that is throttled or fails is repeated, as by [Client.Complete].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html
func (c *Client) Group(ctx context.Context, instance string) (group, state string, err error) {
	c = c.paced(instance).attempts(0)
	out, err := c.api.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{
		InstanceIds: []string{instance},
	}, c.options...)
	if err != nil {
		return "", "", fmt.Errorf("look up %s in Auto Scaling: %w", instance, c.because(ctx, explain(err)))
	}
	for _, found := range out.AutoScalingInstances {
		if aws.ToString(found.InstanceId) == instance {
			return aws.ToString(found.AutoScalingGroupName), aws.ToString(found.LifecycleState), nil
		}
	}
	return "", "", nil
}
