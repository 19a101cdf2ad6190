package autoscaling

import (
	"cmp"
	"slices"
	"time"

	"koboshi/agent/awstest/account"
	"koboshi/agent/awstest/query"
)

// The shapes are those of the API's XML, as far as the mock has values for them.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Types.html
type (
	groupShape struct {
		Name        string          `xml:"AutoScalingGroupName"`
		ARN         string          `xml:"AutoScalingGroupARN"`
		MinSize     int             `xml:"MinSize"`
		MaxSize     int             `xml:"MaxSize"`
		Desired     int             `xml:"DesiredCapacity"`
		Cooldown    int             `xml:"DefaultCooldown"`
		Zones       []string        `xml:"AvailabilityZones>member"`
		HealthCheck string          `xml:"HealthCheckType"`
		CreatedTime string          `xml:"CreatedTime"`
		Instances   []instanceShape `xml:"Instances>member"`
		TargetARNs  []string        `xml:"TargetGroupARNs>member"`
		Pool        *poolShape      `xml:"WarmPoolConfiguration"`
		PoolSize    int             `xml:"WarmPoolSize"`

		Suspended []suspendedShape `xml:"SuspendedProcesses>member"`

		LaunchTemplate *LaunchTemplate
	}
	instanceShape struct {
		ID         string `xml:"InstanceId"`
		Group      string `xml:"AutoScalingGroupName,omitempty"`
		Type       string `xml:"InstanceType"`
		AZ         string `xml:"AvailabilityZone"`
		State      State  `xml:"LifecycleState"`
		Health     string `xml:"HealthStatus"`
		Protection bool   `xml:"ProtectedFromScaleIn"`

		LaunchTemplate *LaunchTemplate
	}
	hookShape struct {
		Name          string     `xml:"LifecycleHookName"`
		Group         string     `xml:"AutoScalingGroupName"`
		Transition    Transition `xml:"LifecycleTransition"`
		Timeout       int64      `xml:"HeartbeatTimeout"`
		GlobalTimeout int64      `xml:"GlobalTimeout"`
		DefaultResult Result     `xml:"DefaultResult"`
	}
	activity struct {
		ActivityID  string `xml:"ActivityId"`
		Group       string `xml:"AutoScalingGroupName"`
		Description string
		Cause       string
		StartTime   string
		EndTime     string `xml:",omitempty"`
		StatusCode  string
		Progress    int
	}

	describeGroupsResult struct {
		Groups []groupShape `xml:"AutoScalingGroups>member"`
	}
	describeInstancesResult struct {
		Instances []instanceShape `xml:"AutoScalingInstances>member"`
	}
	describeHooksResult struct {
		Hooks []hookShape `xml:"LifecycleHooks>member"`
	}
	terminateResult struct {
		Activity activity
	}
)

// chosen reports whether a describe with these names includes this one. No names
// include all.
func chosen(names []string, name string) bool {
	return len(names) == 0 || slices.Contains(names, name)
}

func (s api) describeGroups(p query.Params, now time.Time) (any, error) {
	s = s.seen(now)
	var result describeGroupsResult
	for _, g := range s.sortedGroups() {
		if chosen(p.List("AutoScalingGroupNames"), g.Name) {
			result.Groups = append(result.Groups, s.groupShape(g))
		}
	}
	return result, nil
}

func (s api) groupShape(g *Group) groupShape {
	shape := groupShape{
		Name:        g.Name,
		ARN:         "arn:aws:autoscaling:us-east-1:" + account.ID + ":autoScalingGroup:mock:autoScalingGroupName/" + g.Name,
		MinSize:     g.Min,
		MaxSize:     max(g.Max, g.Desired),
		Desired:     g.Desired,
		Cooldown:    300,
		Zones:       []string{cmp.Or(g.Template.AZ, "us-east-1a")},
		HealthCheck: "EC2",
		CreatedTime: timestamp(time.Unix(0, 0)),
		TargetARNs:  g.TargetGroups,
		Pool:        g.Pool.shape(),
		PoolSize:    len(s.pooled(g.Name)),
		Suspended:   g.suspendedShapes(),
	}
	if t := g.LaunchTemplate; t != (LaunchTemplate{}) {
		shape.LaunchTemplate = &t
	}
	for _, i := range s.instances {
		if i.options.Group == g.Name && !i.state.over() && !i.state.pooled() {
			member := i.shape()
			member.Group, member.Health = "", "Healthy"
			if i.unhealthy {
				member.Health = "Unhealthy"
			}
			shape.Instances = append(shape.Instances, member)
		}
	}
	return shape
}

// describeInstances leaves out instances that are in no group or terminated.
func (s api) describeInstances(p query.Params, _ time.Time) (any, error) {
	var result describeInstancesResult
	for _, i := range s.instances {
		if i.options.Group != "" && !i.state.over() && chosen(p.List("InstanceIds"), i.id) {
			result.Instances = append(result.Instances, i.shape())
		}
	}
	return result, nil
}

func (i *Instance) shape() instanceShape {
	health := "HEALTHY"
	if i.unhealthy {
		health = "UNHEALTHY"
	}
	shape := instanceShape{ID: i.id, Group: i.options.Group, Type: i.options.Type, AZ: i.options.AZ, State: i.state, Health: health}
	if i.template != (LaunchTemplate{}) {
		shape.LaunchTemplate = &i.template
	}
	return shape
}

func (s api) describeHooks(p query.Params, _ time.Time) (any, error) {
	g, err := s.group(p.Get("AutoScalingGroupName"))
	if err != nil {
		return nil, err
	}
	var result describeHooksResult
	for _, h := range g.Hooks {
		if chosen(p.List("LifecycleHookNames"), h.Name) {
			result.Hooks = append(result.Hooks, h.shape(g.Name))
		}
	}
	return result, nil
}

func (h Hook) shape(group string) hookShape {
	return hookShape{
		Name:          h.Name,
		Group:         group,
		Transition:    h.Transition,
		Timeout:       int64(h.HeartbeatTimeout / time.Second),
		GlobalTimeout: int64(h.globalLimit() / time.Second),
		DefaultResult: h.DefaultResult,
	}
}

// timestamp writes a time as the API does: whole seconds, UTC.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
