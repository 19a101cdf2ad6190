package autoscaling

import (
	"slices"
	"time"
)

// CreateGroup creates an Auto Scaling group.
func (m *Model) CreateGroup(g Group) (err error) {
	m.do(func(time.Time) { err = m.createGroup(g) })
	return err
}

// PutHook adds a lifecycle hook to a group, or replaces the one of that name.
func (m *Model) PutHook(group string, h Hook) (err error) {
	m.do(func(time.Time) { err = m.putHook(group, h) })
	return err
}

// Launch starts an instance. In a group it passes through Pending and, with
// launch hooks, Pending:Wait; the group's desired capacity grows if needed.
func (m *Model) Launch(o LaunchOptions) (i *Instance, err error) {
	m.do(func(now time.Time) { i, err = m.launch(o, now) })
	return i, err
}

// SetDesired changes how many instances a group is to have.
func (m *Model) SetDesired(group string, n int) (err error) {
	m.do(func(time.Time) { err = m.setDesired(group, n) })
	return err
}

// Terminate is a scale-in of this very instance. One outside any group is
// Terminated at once.
func (m *Model) Terminate(id string) (err error) {
	m.do(func(now time.Time) {
		var i *Instance
		if i, err = m.instance(id); err == nil {
			m.leave(i, true, now)
		}
	})
	return err
}

// Instance finds an instance by its id.
func (m *Model) Instance(id string) (i *Instance, err error) {
	m.do(func(time.Time) { i, err = m.instance(id) })
	return i, err
}

// Instances lists all instances in the order of their launch, the Terminated too.
func (m *Model) Instances() (all []*Instance) {
	m.do(func(time.Time) { all = slices.Clone(m.instances) })
	return all
}
