package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/smithy-go"
)

var (
	// ErrNotCompleted is a lifecycle action that could not be completed.
	ErrNotCompleted = errors.New("the lifecycle action could not be completed")
	// ErrNoHook is a group without the hook.
	ErrNoHook = errors.New("no such lifecycle hook")
	// ErrForeignHook is a hook that belongs to CodeDeploy, which alone may complete it.
	ErrForeignHook = errors.New("lifecycle hook belongs to CodeDeploy")
	// ErrNoAction is an instance that does not wait in the hook: not yet, or no more.
	ErrNoAction = errors.New("no active lifecycle action")
)

// Hook names a lifecycle action: Instance waiting in the hook Name of Group.
type Hook struct {
	Group    string
	Name     string
	Instance string // instance id
}

// Result is what completing a launch hook asks for. At a terminate hook both
// end in termination, but Abandon stops the other hooks.
type Result string

// The results of a lifecycle action.
const (
	Continue Result = "CONTINUE"
	Abandon  Result = "ABANDON"
)

// Client calls Auto Scaling. It is safe for concurrent use.
type Client struct {
	api     api
	options []func(*autoscaling.Options) // of each call
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
// state (Pending:Wait, InService, Warmed:Stopped…). Both are "" where it is in none.
// What is throttled or fails is asked again, as by [Client.Complete].
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html
func (c *Client) Group(ctx context.Context, instance string) (group, state string, err error) {
	c = c.paced(instance).attempts(0)
	out, err := c.api.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{
		InstanceIds: []string{instance},
	}, c.options...)
	if err != nil {
		return "", "", fmt.Errorf("look up %s in Auto Scaling: %w", instance, err)
	}
	for _, found := range out.AutoScalingInstances {
		if aws.ToString(found.InstanceId) == instance {
			return aws.ToString(found.AutoScalingGroupName), aws.ToString(found.LifecycleState), nil
		}
	}
	return "", "", nil
}

// check refuses hooks that are not to be touched.
func (h Hook) check() error {
	switch {
	case strings.HasPrefix(h.Name, "CodeDeploy-managed-"):
		return fmt.Errorf("hook %s: %w", h.Name, ErrForeignHook)
	case h.Group == "" || h.Name == "" || h.Instance == "":
		return fmt.Errorf("hook %q of group %q for instance %q: a name is missing", h.Name, h.Group, h.Instance)
	}
	return nil
}

// String returns group/name, for messages.
func (h Hook) String() string { return h.Group + "/" + h.Name }

// explain turns the service's refusal of a call on a hook into ErrNoAction.
// AWS has no error code of its own for it.
func explain(err error) error {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if ok && refusal.ErrorCode() == "ValidationError" &&
		strings.Contains(refusal.ErrorMessage(), "No active Lifecycle Action") {
		return ErrNoAction
	}
	return err
}
