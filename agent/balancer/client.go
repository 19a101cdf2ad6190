package balancer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"
)

var (
	// ErrNoGroup is a target group that does not exist.
	ErrNoGroup = errors.New("no such target group")
	// ErrDenied is a call that the instance's role may not make.
	ErrDenied = errors.New("access denied")
)

// Client calls Elastic Load Balancing. It is safe for concurrent use.
type Client struct {
	api api

	mu    sync.Mutex
	ports map[string][]types.TargetDescription // by target group: how the instance is registered
}

// api is what the package uses of the service.
type api interface {
	DescribeTargetHealth(context.Context, *elb.DescribeTargetHealthInput, ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error)
	DeregisterTargets(context.Context, *elb.DeregisterTargetsInput, ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error)
}

// New returns a client for one instance, with cfg's region, credentials, endpoint and
// retryer.
func New(cfg aws.Config) *Client { return &Client{api: elb.NewFromConfig(cfg)} }

// Deregister takes the instance out of the target group, on every port at which it is
// registered. One that is in it no more is no error; a group that does not exist is
// [ErrNoGroup].
//
// Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
func (c *Client) Deregister(ctx context.Context, group, instance string) error {
	targets, err := c.registered(ctx, group, instance)
	if err != nil || len(targets) == 0 {
		return err
	}
	_, err = c.api.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: aws.String(group), Targets: targets})
	if _, gone := errors.AsType[*types.InvalidTargetException](err); gone {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deregister %s: %w", instance, explain(err))
	}
	return nil
}

// Unused reports whether the target group sends the instance nothing any more and has
// nothing in flight to it. A group that does not exist is [ErrNoGroup].
//
// Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html
func (c *Client) Unused(ctx context.Context, group, instance string) (bool, error) {
	targets, err := c.registered(ctx, group, instance)
	if err != nil || len(targets) == 0 {
		return err == nil, err
	}
	health, err := c.health(ctx, group, targets)
	if err != nil {
		return false, err
	}
	for _, h := range health {
		if h.TargetHealth == nil || h.TargetHealth.State != types.TargetHealthStateEnumUnused {
			return false, nil
		}
	}
	return true, nil
}

// Health is how the target group sees the instance, on each port at which it is
// registered: "healthy", "initial", "draining" and so on. One that is in it no more, or
// not yet, has none.
func (c *Client) Health(ctx context.Context, group, instance string) (states []string, err error) {
	targets, err := c.registered(ctx, group, instance)
	if err != nil || len(targets) == 0 {
		return nil, err
	}
	health, err := c.health(ctx, group, targets)
	for _, h := range health {
		if h.TargetHealth != nil {
			states = append(states, string(h.TargetHealth.State))
		}
	}
	return states, err
}

// registered is how the instance is in the group: a port each. It is asked for once:
// afterwards only those are looked at, and not every instance of the group.
func (c *Client) registered(ctx context.Context, group, instance string) ([]types.TargetDescription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if targets, known := c.ports[group]; known {
		return targets, nil
	}
	all, err := c.health(ctx, group, nil)
	if err != nil {
		return nil, err
	}
	targets := []types.TargetDescription{}
	for _, h := range all {
		if h.Target != nil && aws.ToString(h.Target.Id) == instance {
			targets = append(targets, types.TargetDescription{Id: h.Target.Id, Port: h.Target.Port})
		}
	}
	if c.ports == nil {
		c.ports = map[string][]types.TargetDescription{}
	}
	c.ports[group] = targets
	return targets, nil
}

func (c *Client) health(ctx context.Context, group string, targets []types.TargetDescription) ([]types.TargetHealthDescription, error) {
	out, err := c.api.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: aws.String(group), Targets: targets})
	if err != nil {
		return nil, fmt.Errorf("look at the targets: %w", explain(err))
	}
	return out.TargetHealthDescriptions, nil
}

func explain(err error) error {
	if _, gone := errors.AsType[*types.TargetGroupNotFoundException](err); gone {
		return ErrNoGroup
	}
	if refusal, ok := errors.AsType[smithy.APIError](err); ok && (refusal.ErrorCode() == "AccessDenied" || refusal.ErrorCode() == "AccessDeniedException") {
		return fmt.Errorf("%w: %s (%s)", ErrDenied, refusal.ErrorMessage(), refusal.ErrorCode())
	}
	return err
}
