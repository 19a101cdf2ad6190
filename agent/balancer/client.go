package balancer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"koboshi/agent/awsapi"
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
	ports map[string][]target // by target group: how the instance is registered
}

// api is what the package uses of the service.
type api interface {
	Call(ctx context.Context, operation string, in, out any) (time.Time, error)
}

// target is an instance at one of its ports. Source:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetDescription.html
type target struct {
	ID   string `xml:"Id"`
	Port string
}

// New returns a client for one instance, with cfg's region, credentials, endpoint and
// retryer.
func New(cfg aws.Config) *Client {
	return &Client{api: awsapi.New(cfg, awsapi.Service{
		ID: "Elastic Load Balancing v2", Name: "elasticloadbalancing", Version: "2015-12-01", PlainInGov: true,
	})}
}

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
	_, err = c.api.Call(ctx, "DeregisterTargets", form(group, targets), nil)
	if refusal, ok := errors.AsType[smithy.APIError](err); ok && refusal.ErrorCode() == "InvalidTarget" {
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
		if h.State != "unused" {
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
		if h.State != "" {
			states = append(states, h.State)
		}
	}
	return states, err
}

// registered is how the instance is in the group: a port each. It is asked for once:
// afterwards only those are looked at, and not every instance of the group.
func (c *Client) registered(ctx context.Context, group, instance string) ([]target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if targets, known := c.ports[group]; known {
		return targets, nil
	}
	all, err := c.health(ctx, group, nil)
	if err != nil {
		return nil, err
	}
	targets := []target{}
	for _, h := range all {
		if h.Target.ID == instance {
			targets = append(targets, h.Target)
		}
	}
	if c.ports == nil {
		c.ports = map[string][]target{}
	}
	c.ports[group] = targets
	return targets, nil
}

// health is one target as the target group sees it.
type health struct {
	Target target
	State  string `xml:"TargetHealth>State"`
}

func (c *Client) health(ctx context.Context, group string, targets []target) ([]health, error) {
	var out struct {
		Targets []health `xml:"DescribeTargetHealthResult>TargetHealthDescriptions>member"`
	}
	if _, err := c.api.Call(ctx, "DescribeTargetHealth", form(group, targets), &out); err != nil {
		return nil, fmt.Errorf("look at the targets: %w", explain(err))
	}
	return out.Targets, nil
}

// form is what both calls are about.
func form(group string, targets []target) url.Values {
	v := url.Values{"TargetGroupArn": {group}}
	for i, t := range targets {
		member := "Targets.member." + strconv.Itoa(i+1) + "."
		v.Set(member+"Id", t.ID)
		if t.Port != "" {
			v.Set(member+"Port", t.Port)
		}
	}
	return v
}

func explain(err error) error {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	switch refusal.ErrorCode() {
	case "TargetGroupNotFound":
		return ErrNoGroup
	case "AccessDenied", "AccessDeniedException":
		return fmt.Errorf("%w: %s (%s)", ErrDenied, refusal.ErrorMessage(), refusal.ErrorCode())
	}
	return err
}
