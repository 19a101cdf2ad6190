package autoscaling

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"koboshi/agent/awstest/query"
)

// maxLaunched is the limit of one LaunchInstances.
const maxLaunched = 100

type (
	suspendedShape struct {
		Process Process `xml:"ProcessName"`
		Reason  string  `xml:"SuspensionReason"`
	}
	collection struct {
		AZ  string   `xml:"AvailabilityZone"`
		IDs []string `xml:"InstanceIds>member"`
	}
	launchResult struct {
		Group     string       `xml:"AutoScalingGroupName"`
		Token     string       `xml:"ClientToken"`
		Instances []collection `xml:"Instances>member"`
	}
)

func processes(p query.Params) (all []Process) {
	for _, name := range p.List("ScalingProcesses") {
		all = append(all, Process(name))
	}
	return all
}

func (s api) suspendProcesses(p query.Params, now time.Time) (any, error) {
	return nil, s.suspend(p.Get("AutoScalingGroupName"), processes(p), now)
}

func (s api) resumeProcesses(p query.Params, now time.Time) (any, error) {
	return nil, s.resume(p.Get("AutoScalingGroupName"), processes(p), now)
}

func (g *Group) suspendedShapes() (all []suspendedShape) {
	for p, reason := range g.Suspended {
		all = append(all, suspendedShape{p, reason})
	}
	slices.SortFunc(all, func(a, b suspendedShape) int { return strings.Compare(string(a.Process), string(b.Process)) })
	return all
}

// launchInstances launches at once, whatever is suspended. A token that was used before
// launches nothing again.
func (s api) launchInstances(p query.Params, now time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	n, err := p.Int("RequestedCapacity", 0)
	switch {
	case err != nil:
		return nil, err
	case n < 1 || n > maxLaunched:
		return nil, query.Invalid(fmt.Sprintf("RequestedCapacity %d is not from 1 to %d", n, maxLaunched))
	}
	token := p.Get("ClientToken")
	if did, again := s.launches[token]; again {
		return did, nil
	}
	if err := g.fits(g.Desired + n); err != nil {
		return nil, err
	}
	launched := collection{AZ: g.Template.withDefaults().AZ}
	for range n {
		o := g.launch(g.template())
		o.Group = g.Name
		i, err := s.launch(o, now)
		if err != nil {
			return nil, err
		}
		launched.IDs = append(launched.IDs, i.id)
	}
	result := launchResult{g.Name, token, []collection{launched}}
	s.launches[token] = result
	return result, nil
}

func (s api) setInstanceHealth(p query.Params, now time.Time) (any, error) {
	return nil, s.setHealth(p.Get("InstanceId"), p.Get("HealthStatus") == "Healthy", now)
}
