package autoscaling

import (
	"cmp"
	"strings"
	"time"

	"koboshi/agent/awstest/query"
)

type (
	poolShape struct {
		State string `xml:"PoolState"`
		Min   int    `xml:"MinSize"`
		Reuse struct {
			ReuseOnScaleIn bool
		} `xml:"InstanceReusePolicy"`
		Status string `xml:",omitempty"`
	}
	describePoolResult struct {
		Pool      *poolShape      `xml:"WarmPoolConfiguration"`
		Instances []instanceShape `xml:"Instances>member"`
	}
	activitiesResult struct {
		Activities []activity `xml:"Activities>member"`
		NextToken  string     `xml:",omitempty"`
	}
	targetGroupShape struct {
		ARN   string `xml:"LoadBalancerTargetGroupARN"`
		State string
	}
	targetGroupsResult struct {
		Groups []targetGroupShape `xml:"LoadBalancerTargetGroups>member"`
	}
)

// putWarmPool leaves out MaxGroupPreparedCapacity: the pool has MinSize instances.
func (s api) putWarmPool(p query.Params, _ time.Time) (any, error) {
	size, err := p.Int("MinSize", 0)
	if err != nil {
		return nil, err
	}
	pool := Pool{
		State: State("Warmed:" + cmp.Or(p.Get("PoolState"), "Stopped")),
		Size:  size,
		Reuse: p.Get("InstanceReusePolicy.ReuseOnScaleIn") == "true",
	}
	return struct{}{}, s.putPool(p.Get("AutoScalingGroupName"), pool)
}

func (s api) deleteWarmPool(p query.Params, now time.Time) (any, error) {
	return struct{}{}, s.deletePool(p.Get("AutoScalingGroupName"), now)
}

func (s api) describeWarmPool(p query.Params, _ time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	result := describePoolResult{Pool: g.Pool.shape()}
	for _, i := range s.instances {
		if i.options.Group == g.Name && i.state.pooled() && !i.state.over() {
			member := i.shape()
			member.Group = ""
			result.Instances = append(result.Instances, member)
		}
	}
	return result, nil
}

func (p *Pool) shape() *poolShape {
	if p == nil {
		return nil
	}
	shape := &poolShape{State: strings.TrimPrefix(string(cmp.Or(p.State, WarmedStopped)), "Warmed:"), Min: p.Size}
	shape.Reuse.ReuseOnScaleIn = p.Reuse
	return shape
}

// moveAll moves the instances of a request, all or none.
func (s api) moveAll(p query.Params, to, description string, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	var in []*Instance
	for _, id := range p.List("InstanceIds") {
		i, err := s.instance(id)
		if err == nil && i.options.Group != g.Name {
			err = query.Invalid("The instance " + id + " is not part of Auto Scaling group " + g.Name)
		}
		if err == nil {
			err = s.mayMove(i, to)
		}
		if err != nil {
			return nil, err
		}
		in = append(in, i)
	}
	var result activitiesResult
	for _, i := range in {
		if err := s.moveTo(i, to, now); err != nil {
			return nil, err
		}
		if p.Get("ShouldDecrementDesiredCapacity") == "false" { // then there is a replacement
			g.Desired++
		}
		result.Activities = append(result.Activities, activity{
			ActivityID: i.activity.id(), Group: g.Name, Description: description + i.id, StartTime: timestamp(now), StatusCode: "InProgress",
			Cause: "instance was moved in response to a user request",
		})
	}
	return result, s.reconcile(g.Name)
}

func (s api) enterStandby(p query.Params, now time.Time) (any, error) {
	return s.moveAll(p, ToStandby, "Moving EC2 instance to Standby: ", now)
}

func (s api) exitStandby(p query.Params, now time.Time) (any, error) {
	return s.moveAll(p, ToService, "Moving EC2 instance out of Standby: ", now)
}

func (s api) detach(p query.Params, now time.Time) (any, error) {
	return s.moveAll(p, ToDetached, "Detaching EC2 instance: ", now)
}

func (s api) attachTargetGroups(p query.Params, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.setTargetGroups(g.Name, append(g.without(p.List("TargetGroupARNs")), p.List("TargetGroupARNs")...), now)
}

func (s api) detachTargetGroups(p query.Params, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.setTargetGroups(g.Name, g.without(p.List("TargetGroupARNs")), now)
}

func (s api) describeTargetGroups(p query.Params, _ time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	var result targetGroupsResult
	for _, arn := range g.TargetGroups {
		result.Groups = append(result.Groups, targetGroupShape{arn, "InService"})
	}
	return result, nil
}
