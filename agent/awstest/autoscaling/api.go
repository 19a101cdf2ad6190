package autoscaling

import (
	"fmt"
	"net/http"
	"time"

	"koboshi/agent/awstest/query"
)

const (
	minHeartbeatTimeout = 30 * time.Second
	maxHeartbeatTimeout = 7200 * time.Second
)

// NewAPI is the service over a model.
func NewAPI(m *Model) *query.API {
	api := api{m}
	return query.New("http://autoscaling.amazonaws.com/doc/2011-01-01/", map[string]query.Action{
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
		"PutWarmPool":                         api.locked(api.putWarmPool),
		"DeleteWarmPool":                      api.locked(api.deleteWarmPool),
		"DescribeWarmPool":                    api.locked(api.describeWarmPool),
		"EnterStandby":                        api.locked(api.enterStandby),
		"ExitStandby":                         api.locked(api.exitStandby),
		"DetachInstances":                     api.locked(api.detach),
		"AttachLoadBalancerTargetGroups":      api.locked(api.attachTargetGroups),
		"DetachLoadBalancerTargetGroups":      api.locked(api.detachTargetGroups),
		"DescribeLoadBalancerTargetGroups":    api.locked(api.describeTargetGroups),
		"SuspendProcesses":                    api.locked(api.suspendProcesses),
		"ResumeProcesses":                     api.locked(api.resumeProcesses),
		"DescribeScalingActivities":           api.locked(api.describeActivities),
		"DescribeInstanceRefreshes":           api.locked(api.describeRefreshes),
		"StartInstanceRefresh":                api.locked(api.startRefresh),
		"CancelInstanceRefresh":               api.locked(api.cancelRefresh),
		"RollbackInstanceRefresh":             api.locked(api.rollbackRefresh),
		"LaunchInstances":                     api.locked(api.launchInstances),
		"SetInstanceHealth":                   api.locked(api.setInstanceHealth),
	})
}

type api struct{ *Model }

// locked runs an action inside the model.
func (s api) locked(run func(query.Params, time.Time) (any, error)) query.Action {
	return func(p query.Params, _ *http.Request) (result any, err error) {
		s.do(func(now time.Time) { result, err = run(p, now) })
		return result, err
	}
}

func (s api) createGroup(p query.Params, _ time.Time) (any, error) {
	g := Group{Name: p.Get("AutoScalingGroupName"), TargetGroups: p.List("TargetGroupARNs"), Template: LaunchOptions{AZ: p.Get("AvailabilityZones.member.1")}, LaunchTemplate: readLaunchTemplate(p, "LaunchTemplate.")}
	var err error
	if err = readCapacity(p, &g); err != nil {
		return nil, err
	}
	const list = "LifecycleHookSpecificationList"
	for n := 1; p.Has(query.Member(list, n) + ".LifecycleHookName"); n++ {
		h, err := readHook(p, query.Member(list, n)+".")
		if err != nil {
			return nil, err
		}
		g.Hooks = append(g.Hooks, h)
	}
	return nil, s.Model.createGroup(g)
}

func (s api) updateGroup(p query.Params, _ time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	changed := *g
	if err := readCapacity(p, &changed); err != nil {
		return nil, err
	}
	if err := changed.fits(changed.Desired); err != nil {
		return nil, err
	}
	if t := readLaunchTemplate(p, "LaunchTemplate."); t != (LaunchTemplate{}) {
		changed.LaunchTemplate = t
	}
	*g = changed
	return nil, s.reconcile(g.Name)
}

// readCapacity reads sizes over those that the group has. Desired is at least Min.
func readCapacity(p query.Params, g *Group) (err error) {
	if action := p.Get("InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon"); action != "" {
		g.Retain = action == "retain"
	}
	if g.Min, err = p.Int("MinSize", g.Min); err != nil {
		return err
	}
	if g.Max, err = p.Int("MaxSize", g.Max); err != nil {
		return err
	}
	g.Desired, err = p.Int("DesiredCapacity", max(g.Desired, g.Min))
	return err
}

func (s api) setDesired(p query.Params, _ time.Time) (any, error) {
	n, err := p.Int("DesiredCapacity", 0)
	if err != nil {
		return nil, err
	}
	return nil, s.Model.setDesired(p.Get("AutoScalingGroupName"), n)
}

func (s api) putHook(p query.Params, _ time.Time) (any, error) {
	h, err := readHook(p, "")
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.Model.putHook(p.Get("AutoScalingGroupName"), h)
}

// readHook reads a hook with the API's limits.
func readHook(p query.Params, prefix string) (Hook, error) {
	timeout, err := p.Seconds(prefix + "HeartbeatTimeout")
	if err != nil {
		return Hook{}, err
	}
	if p.Has(prefix+"HeartbeatTimeout") && (timeout < minHeartbeatTimeout || timeout > maxHeartbeatTimeout) {
		return Hook{}, query.Invalid(fmt.Sprintf("HeartbeatTimeout %d must be between 30 and 7200 seconds", timeout/time.Second))
	}
	return Hook{
		Name:             p.Get(prefix + "LifecycleHookName"),
		Transition:       Transition(p.Get(prefix + "LifecycleTransition")),
		HeartbeatTimeout: timeout,
		DefaultResult:    Result(p.Get(prefix + "DefaultResult")),
	}, nil
}

func (s api) deleteHook(p query.Params, now time.Time) (any, error) {
	return struct{}{}, s.Model.deleteHook(p.Get("AutoScalingGroupName"), p.Get("LifecycleHookName"), now)
}

func readCompletion(p query.Params) completion {
	return completion{
		group:    p.Get("AutoScalingGroupName"),
		hook:     p.Get("LifecycleHookName"),
		instance: p.Get("InstanceId"),
		token:    p.Get("LifecycleActionToken"),
	}
}

func (s api) complete(p query.Params, now time.Time) (any, error) {
	return struct{}{}, s.Model.complete(readCompletion(p), Result(p.Get("LifecycleActionResult")), now)
}

func (s api) heartbeat(p query.Params, now time.Time) (any, error) {
	return struct{}{}, s.Model.heartbeat(readCompletion(p), now)
}

func (s api) terminate(p query.Params, now time.Time) (any, error) {
	i, err := s.instance(p.Get("InstanceId"))
	if err != nil {
		return nil, err
	}
	s.leave(i, p.Get("ShouldDecrementDesiredCapacity") == "true", now)
	return terminateResult{activity{
		ActivityID:  i.activity.id(),
		Group:       i.options.Group,
		Description: "Terminating EC2 instance: " + i.id,
		Cause:       "instance was taken out of service in response to a user request",
		StartTime:   timestamp(now),
		StatusCode:  "InProgress",
	}}, nil
}
