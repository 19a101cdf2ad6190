package autoscaling

import (
	"fmt"
	"slices"
	"time"

	"koboshi/agent/awstest/query"
)

// Process is one of the things that a group does by itself, and that can be suspended.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
type Process string

// The processes of a group. The mock knows them by AWS's documentation and not from
// package group, which is tested against it.
const (
	Launch            Process = "Launch"
	Terminate         Process = "Terminate"
	AddToLoadBalancer Process = "AddToLoadBalancer"
	AlarmNotification Process = "AlarmNotification"
	AZRebalance       Process = "AZRebalance"
	HealthCheck       Process = "HealthCheck"
	InstanceRefresh   Process = "InstanceRefresh"
	ReplaceUnhealthy  Process = "ReplaceUnhealthy"
	ScheduledActions  Process = "ScheduledActions"
)

// Processes are all of them, as an empty list in a request means.
var Processes = []Process{Launch, Terminate, AddToLoadBalancer, AlarmNotification, AZRebalance, HealthCheck, InstanceRefresh, ReplaceUnhealthy, ScheduledActions}

// Suspend suspends processes of a group; none means all, as AWS has it. One that is
// suspended already keeps its reason, unless the group renews it.
func (m *Model) Suspend(group string, processes ...Process) (err error) {
	m.do(func(now time.Time) { err = m.suspend(group, processes, now) })
	return err
}

// Resume resumes processes of a group; none means all, as AWS has it. What they have
// not done meanwhile begins at once, but for what was due or launched while nothing
// was to happen: see the processes' own documentation.
func (m *Model) Resume(group string, processes ...Process) (err error) {
	m.do(func(now time.Time) { err = m.resume(group, processes, now) })
	return err
}

// Suspended are the suspended processes of a group, each with its reason.
func (m *Model) Suspended(group string) (reasons map[Process]string) {
	reasons = map[Process]string{}
	m.do(func(time.Time) {
		if g, ok := m.groups[group]; ok {
			for p, reason := range g.Suspended {
				reasons[p] = reason
			}
		}
	})
	return reasons
}

func (m *Model) suspend(group string, processes []Process, now time.Time) error {
	g, processes, err := m.named(group, processes)
	if err != nil {
		return err
	}
	for _, p := range processes {
		if g.Suspended[p] == "" || g.Renews {
			g.suspended(p, now)
		}
	}
	return nil
}

func (g *Group) suspended(p Process, now time.Time) {
	if g.Suspended == nil {
		g.Suspended = map[Process]string{}
	}
	g.Suspended[p] = "User suspended at " + timestamp(now)
}

func (m *Model) resume(group string, processes []Process, now time.Time) error {
	g, processes, err := m.named(group, processes)
	if err != nil {
		return err
	}
	for _, p := range processes {
		delete(g.Suspended, p)
	}
	m.checkHealth(g, now)
	m.stepRefresh(g, now)
	return m.reconcile(group)
}

// named reads the list of a request.
func (m *Model) named(group string, processes []Process) (*Group, []Process, error) {
	g, err := m.group(group)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range processes {
		if !slices.Contains(Processes, p) {
			return nil, nil, query.Invalid(fmt.Sprintf("Invalid scaling process: %s", p))
		}
	}
	if len(processes) == 0 {
		processes = Processes
	}
	return g, processes, nil
}

// stops reports whether a process of the group is suspended.
func (g *Group) stops(p Process) bool { return g.Suspended[p] != "" }

// Trigger lets a process of a group act, unless that is suspended: then it is skipped
// for good. An alarm or a scheduled action sets the desired capacity. AZRebalance
// launches an instance and, once that is in service, terminates the oldest; where
// Terminate is suspended the group grows, to 10 % above its maximum.
func (m *Model) Trigger(group string, p Process, desired int) (acted bool, err error) {
	m.do(func(now time.Time) {
		var g *Group
		if g, err = m.group(group); err != nil || g.stops(p) {
			return
		}
		switch p {
		case AlarmNotification, ScheduledActions:
			acted, err = true, m.setDesired(group, desired)
		case AZRebalance:
			acted, err = m.rebalance(g, now)
		default:
			err = query.Invalid(fmt.Sprintf("%s cannot be triggered: want AlarmNotification, ScheduledActions or AZRebalance", p))
		}
	})
	return acted, err
}

func (m *Model) rebalance(g *Group, now time.Time) (acted bool, err error) {
	if g.stops(Launch) || g.Max > 0 && len(m.members(g.Name)) >= g.Max+max(g.Max/10, 1) {
		return false, nil
	}
	had := g.Desired
	o := g.launch(g.template())
	o.Group = g.Name
	_, err = m.launch(o, now)
	g.Desired = had
	return err == nil, err
}

// SetHealth marks an instance as healthy or not. One that is not is replaced.
func (m *Model) SetHealth(id string, healthy bool) (err error) {
	m.do(func(now time.Time) { err = m.setHealth(id, healthy, now) })
	return err
}

func (m *Model) setHealth(id string, healthy bool, now time.Time) error {
	i, err := m.instance(id)
	if err != nil {
		return err
	}
	i.unhealthy = !healthy
	if g, ok := m.groups[i.options.Group]; ok {
		m.checkHealth(g, now)
		return m.reconcile(g.Name)
	}
	return nil
}

// checkHealth notices the machines that are off, and lets unhealthy instances go.
// That happens while Launch is suspended, too.
func (m *Model) checkHealth(g *Group, now time.Time) {
	for _, i := range m.members(g.Name) {
		if i.off && !g.stops(HealthCheck) {
			i.unhealthy = true
		}
		if i.unhealthy && !g.stops(ReplaceUnhealthy) {
			m.leave(i, false, now)
		}
	}
}
