package autoscaling

import (
	"maps"
	"slices"
	"time"
)

// SetLag makes DescribeAutoScalingGroups, DescribeScalingActivities and
// DescribeInstanceRefreshes answer what was so long ago, or else at the moment of this
// call; 0 ends that. AWS's are eventually consistent in this way, for seconds. All that
// changes something acts on what is.
func (m *Model) SetLag(lag time.Duration) {
	m.do(func(now time.Time) {
		m.lag, m.past = lag, nil
		if lag > 0 {
			m.remember(now)
		}
	})
}

// moment is a copy of what Describe shows.
type moment struct {
	at    time.Time
	model *Model
}

// remember keeps a copy of the model, and drops those that no one will ask for again.
func (m *Model) remember(now time.Time) {
	if m.lag == 0 {
		return
	}
	m.past = append(m.past, moment{now, m.copied()})
	for len(m.past) > 1 && !m.past[1].at.After(now.Add(-m.lag)) {
		m.past = m.past[1:]
	}
}

// seen is the model as Describe shows it.
func (s api) seen(now time.Time) api {
	for _, was := range slices.Backward(s.past) {
		if !was.at.After(now.Add(-s.lag)) {
			return api{was.model}
		}
	}
	if len(s.past) > 0 {
		return api{s.past[0].model}
	}
	return s
}

// copied is what Describe reads of the model.
func (m *Model) copied() *Model {
	old := &Model{groups: map[string]*Group{}}
	for name, g := range m.groups {
		copied := *g
		copied.Suspended = maps.Clone(g.Suspended)
		copied.TargetGroups = slices.Clone(g.TargetGroups)
		copied.Refreshes = slices.Clone(g.Refreshes)
		old.groups[name] = &copied
	}
	for _, i := range m.instances {
		old.instances = append(old.instances, &Instance{id: i.id, options: i.options, state: i.state, unhealthy: i.unhealthy, template: i.template, returns: i.returns, model: old})
	}
	for _, a := range m.activities {
		copied := *a
		old.activities = append(old.activities, &copied)
	}
	return old
}
