package awstest

import (
	"fmt"
	"net/http"
	"time"
)

const (
	minHeartbeatTimeout = 30 * time.Second
	maxHeartbeatTimeout = 7200 * time.Second
)

// newAutoScaling is the API over the model.
func newAutoScaling(s *scaling) *query {
	api := autoScalingAPI{s}
	return &query{
		namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
		actions: map[string]operation{
			"CreateAutoScalingGroup":              api.locked(api.createGroup),
			"UpdateAutoScalingGroup":              api.locked(api.updateGroup),
			"SetDesiredCapacity":                  api.locked(api.setDesired),
			"DescribeAutoScalingGroups":           api.locked(api.describeGroups),
			"PutLifecycleHook":                    api.locked(api.putHook),
			"DeleteLifecycleHook":                 api.locked(api.deleteHook),
			"DescribeLifecycleHooks":              api.locked(api.describeHooks),
			"CompleteLifecycleAction":             api.locked(api.complete),
			"RecordLifecycleActionHeartbeat":      api.locked(api.heartbeat),
			"DescribeAutoScalingInstances":        api.locked(api.describeInstances),
			"TerminateInstanceInAutoScalingGroup": api.locked(api.terminate),
		},
	}
}

type autoScalingAPI struct{ *scaling }

// locked runs an action inside the model.
func (s autoScalingAPI) locked(run func(params, time.Time) (any, error)) operation {
	return func(p params, _ *http.Request) (result any, err error) {
		s.do(func(now time.Time) { result, err = run(p, now) })
		return result, err
	}
}

func (s autoScalingAPI) createGroup(p params, _ time.Time) (any, error) {
	g := Group{Name: p.str("AutoScalingGroupName"), Template: LaunchOptions{AZ: p.str("AvailabilityZones.member.1")}}
	var err error
	if err = p.capacity(&g); err != nil {
		return nil, err
	}
	const list = "LifecycleHookSpecificationList"
	for n := 1; p.has(member(list, n) + ".LifecycleHookName"); n++ {
		h, err := p.hook(member(list, n) + ".")
		if err != nil {
			return nil, err
		}
		g.Hooks = append(g.Hooks, h)
	}
	return nil, s.scaling.createGroup(g)
}

func (s autoScalingAPI) updateGroup(p params, _ time.Time) (any, error) {
	g, err := s.group(p.str("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	changed := *g
	if err := p.capacity(&changed); err != nil {
		return nil, err
	}
	if err := changed.fits(changed.Desired); err != nil {
		return nil, err
	}
	*g = changed
	return nil, s.reconcile(g.Name)
}

// capacity reads sizes over those that the group has. Desired is at least Min.
func (p params) capacity(g *Group) (err error) {
	if g.Min, err = p.integer("MinSize", g.Min); err != nil {
		return err
	}
	if g.Max, err = p.integer("MaxSize", g.Max); err != nil {
		return err
	}
	g.Desired, err = p.integer("DesiredCapacity", max(g.Desired, g.Min))
	return err
}

func (s autoScalingAPI) setDesired(p params, _ time.Time) (any, error) {
	n, err := p.integer("DesiredCapacity", 0)
	if err != nil {
		return nil, err
	}
	return nil, s.scaling.setDesired(p.str("AutoScalingGroupName"), n)
}

func (s autoScalingAPI) putHook(p params, _ time.Time) (any, error) {
	h, err := p.hook("")
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.scaling.putHook(p.str("AutoScalingGroupName"), h)
}

// hook reads a hook with the API's limits.
func (p params) hook(prefix string) (Hook, error) {
	timeout, err := p.seconds(prefix + "HeartbeatTimeout")
	if err != nil {
		return Hook{}, err
	}
	if p.has(prefix+"HeartbeatTimeout") && (timeout < minHeartbeatTimeout || timeout > maxHeartbeatTimeout) {
		return Hook{}, invalid(fmt.Sprintf("HeartbeatTimeout %d must be between 30 and 7200 seconds", timeout/time.Second))
	}
	return Hook{
		Name:             p.str(prefix + "LifecycleHookName"),
		Transition:       Transition(p.str(prefix + "LifecycleTransition")),
		HeartbeatTimeout: timeout,
		DefaultResult:    Result(p.str(prefix + "DefaultResult")),
	}, nil
}

func (s autoScalingAPI) deleteHook(p params, _ time.Time) (any, error) {
	g, err := s.group(p.str("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	g.drop(p.str("LifecycleHookName"))
	return struct{}{}, nil
}

func (p params) completion() completion {
	return completion{
		group:    p.str("AutoScalingGroupName"),
		hook:     p.str("LifecycleHookName"),
		instance: p.str("InstanceId"),
		token:    p.str("LifecycleActionToken"),
	}
}

func (s autoScalingAPI) complete(p params, now time.Time) (any, error) {
	return struct{}{}, s.scaling.complete(p.completion(), Result(p.str("LifecycleActionResult")), now)
}

func (s autoScalingAPI) heartbeat(p params, now time.Time) (any, error) {
	return struct{}{}, s.scaling.heartbeat(p.completion(), now)
}

func (s autoScalingAPI) terminate(p params, now time.Time) (any, error) {
	i, err := s.instance(p.str("InstanceId"))
	if err != nil {
		return nil, err
	}
	s.leave(i, p.str("ShouldDecrementDesiredCapacity") == "true", now)
	return terminateResult{activity{
		ActivityID:  s.uuid(),
		Group:       i.options.Group,
		Description: "Terminating EC2 instance: " + i.id,
		Cause:       "instance was taken out of service in response to a user request",
		StartTime:   stamp(now),
		StatusCode:  "InProgress",
	}}, nil
}
