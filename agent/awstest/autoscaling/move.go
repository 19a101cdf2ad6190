package autoscaling

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"koboshi/agent/awstest/query"
)

// Balancer is where a group's instances are registered while they are in service.
// The model calls it under its own lock.
type Balancer interface {
	Register(targetGroup, id string) error
	Deregister(targetGroup, id string) (over time.Time) // when the instance has drained
}

// The moves of one instance that its group is asked for.
const (
	ToStandby     = "standby"     // EnterStandby, without a replacement
	ToService     = "service"     // out of standby, or out of the warm pool
	ToPool        = "pool"        // a scale-in that returns it to the warm pool
	ToDetached    = "detached"    // DetachInstances, without a replacement
	ToRootVolume  = "root-volume" // its root volume is replaced, as an instance refresh does
	ToTermination = "termination" // TerminateInstances of EC2: the machine is off before Auto Scaling notices
)

// Moves are those that Move knows.
var Moves = []string{ToStandby, ToService, ToPool, ToDetached, ToRootVolume, ToTermination}

// Move moves one instance.
func (m *Model) Move(id, to string) (err error) {
	m.do(func(now time.Time) {
		var i *Instance
		if i, err = m.instance(id); err == nil {
			err = m.moveTo(i, to, now)
		}
	})
	return err
}

// onMove are the events that move an instance.
var onMove = map[string]event{ToStandby: standing, ToService: joining, ToPool: leaving, ToDetached: detaching, ToRootVolume: replacing, ToTermination: leaving}

func (m *Model) mayMove(i *Instance, to string) error {
	on, known := onMove[to]
	if !known {
		return query.Invalid(fmt.Sprintf("a move to %q, want one of %s", to, strings.Join(Moves, ", ")))
	}
	_, possible := lifecycle[i.state][on]
	switch to {
	case ToTermination:
		possible = !i.state.over()
	case ToPool:
		possible = i.state == InService && m.groups[i.options.Group].Pool != nil
	}
	if !possible {
		return query.Invalid(fmt.Sprintf("The instance %s is in %s: it cannot go to %s", i.id, cmp.Or(string(i.state), "no group"), to))
	}
	return nil
}

func (m *Model) moveTo(i *Instance, to string, now time.Time) error {
	if err := m.mayMove(i, to); err != nil {
		return err
	}
	g := m.groups[i.options.Group]
	switch to {
	case ToTermination:
		m.vanish(i, now)
		return nil
	case ToPool:
		g.Desired--
		m.giveBack(i, now)
		return nil
	case ToStandby, ToDetached:
		if i.state.counts() {
			g.Desired--
		}
	case ToService:
		g.Desired = max(g.Desired, len(m.members(g.Name))+1)
	}
	m.move(i, onMove[to], now)
	return m.reconcile(i.options.Group)
}

// vanish switches the machine off, which Auto Scaling then notices, unless it is told
// not to look.
func (m *Model) vanish(i *Instance, at time.Time) {
	i.power(false)
	if g, ok := m.groups[i.options.Group]; ok && i.state.counts() && (g.stops(HealthCheck) || g.stops(ReplaceUnhealthy)) {
		m.checkHealth(g, at)
		return
	}
	m.leave(i, false, at)
}

// Interrupt switches an instance's machine off at a time, as EC2 does to a Spot
// instance: for good, or, outside any group, also until Start.
func (m *Model) Interrupt(id string, at time.Time, forGood bool) (err error) {
	m.do(func(time.Time) {
		var i *Instance
		if i, err = m.instance(id); err != nil {
			return
		}
		i.interrupted++
		this := i.interrupted
		m.agenda.add(at, func(at time.Time) {
			switch {
			case i.interrupted != this || i.state.over():
			case forGood || i.state != "":
				m.vanish(i, at)
			default:
				i.power(false)
			}
		})
	})
	return err
}

// Start switches the machine of an instance outside any group on again, and undoes
// an interruption that is still to come.
func (m *Model) Start(id string) (err error) {
	m.do(func(time.Time) {
		var i *Instance
		if i, err = m.instance(id); err != nil {
			return
		}
		i.interrupted++
		if i.state == "" {
			i.power(true)
		}
	})
	return err
}

// register adds an instance to its group's target groups. One that does not exist
// takes none, as after it was deleted. While AddToLoadBalancer is suspended no instance
// is added, and none of those is later.
func (m *Model) register(i *Instance) {
	if m.groups[i.options.Group].stops(AddToLoadBalancer) {
		return
	}
	for _, arn := range m.groups[i.options.Group].TargetGroups {
		if m.Balancer != nil {
			_ = m.Balancer.Register(arn, i.id)
		}
	}
}

// deregister begins to drain an instance, and returns when that is over.
func (m *Model) deregister(i *Instance, at time.Time) time.Time {
	if g, ok := m.groups[i.options.Group]; ok && m.Balancer != nil {
		for _, arn := range g.TargetGroups {
			if over := m.Balancer.Deregister(arn, i.id); over.After(at) {
				at = over
			}
		}
	}
	return at
}

// SetTargetGroups ties a group to these target groups of a balancer, and no others.
// Instances in service are registered, or deregistered, at once.
func (m *Model) SetTargetGroups(group string, arns []string) (err error) {
	m.do(func(now time.Time) { err = m.setTargetGroups(group, arns, now) })
	return err
}

func (m *Model) setTargetGroups(group string, arns []string, now time.Time) error {
	g, err := m.group(group)
	if err != nil {
		return err
	}
	in := slices.DeleteFunc(m.members(group), func(i *Instance) bool { return i.state != InService })
	g.TargetGroups = g.without(arns)
	for _, i := range in {
		m.deregister(i, now)
	}
	g.TargetGroups = arns
	for _, i := range in {
		m.register(i)
	}
	return nil
}

// without are the target groups of the group but for these.
func (g *Group) without(arns []string) []string {
	return slices.DeleteFunc(slices.Clone(g.TargetGroups), func(arn string) bool { return slices.Contains(arns, arn) })
}
