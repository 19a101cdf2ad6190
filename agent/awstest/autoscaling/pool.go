package autoscaling

import (
	"cmp"
	"fmt"
	"time"

	"koboshi/agent/awstest/query"
)

// Pool is the warm pool of a group.
type Pool struct {
	State State `json:"state,omitempty"` // that its instances are kept in: Warmed:Stopped (the default), Warmed:Running, Warmed:Hibernated
	Size  int   `json:"size,omitempty"`  // how many instances it is filled up to
	Reuse bool  `json:"reuse,omitempty"` // scale-in returns instances to the pool

	// Back is where the terminating hook of an instance waits that returns to the
	// pool: Terminating:Wait (the default) or Warmed:Pending:Wait. AWS's
	// documentation leaves it open, so clients must cope with both.
	Back State `json:"back,omitempty"`
}

func (p Pool) check() error {
	switch {
	case p.State != "" && p.State != WarmedStopped && p.State != WarmedRunning && p.State != WarmedHibernated:
		return query.Invalid(fmt.Sprintf("Invalid pool state %q: want Warmed:Stopped, Warmed:Running or Warmed:Hibernated", p.State))
	case p.Back != "" && p.Back != TerminatingWait && p.Back != WarmedPendingWait:
		return query.Invalid(fmt.Sprintf("back is %q: want Terminating:Wait or Warmed:Pending:Wait", p.Back))
	case p.Size < 0 || p.Size > maxDesired:
		return query.Invalid(fmt.Sprintf("a warm pool of %d instances", p.Size))
	}
	return nil
}

// PutPool gives a group a warm pool, and fills it.
func (m *Model) PutPool(group string, p Pool) (err error) {
	m.do(func(time.Time) { err = m.putPool(group, p) })
	return err
}

// DeletePool terminates the instances in a group's warm pool.
func (m *Model) DeletePool(group string) (err error) {
	m.do(func(now time.Time) { err = m.deletePool(group, now) })
	return err
}

func (m *Model) putPool(group string, p Pool) error {
	g, err := m.group(group)
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	g.Pool = &p
	return m.reconcile(group)
}

func (m *Model) deletePool(group string, now time.Time) error {
	g, err := m.group(group)
	if err != nil {
		return err
	}
	if g.Pool == nil {
		return query.Invalid("No warm pool found for Auto Scaling group " + group)
	}
	g.Pool.Size, g.Pool.Reuse = 0, false
	for _, i := range m.pooled(group) {
		m.move(i, leaving, now)
	}
	return nil
}

// pooled lists the instances in the pool that are not about to be terminated,
// oldest first.
func (m *Model) pooled(group string) (in []*Instance) {
	for _, i := range m.instances {
		if i.options.Group == group && i.state.pooled() && !i.state.ends() {
			in = append(in, i)
		}
	}
	return in
}

// poolState is the state that the pool of an instance's group keeps it in.
func (m *Model) poolState(i *Instance) State {
	if g, ok := m.groups[i.options.Group]; ok && g.Pool != nil {
		return cmp.Or(g.Pool.State, WarmedStopped)
	}
	return WarmedStopped
}

// fill launches instances until the pool has its size.
func (m *Model) fill(g *Group) error {
	if g.Pool == nil || g.stops(Launch) || g.run != nil {
		return nil
	}
	size := len(m.pooled(g.Name))
	for _, i := range m.instances {
		if i.returns && i.options.Group == g.Name && !i.state.pooled() {
			size++
		}
	}
	for range g.Pool.Size - size {
		o := g.launch(g.template())
		o.Group, o.Warm = g.Name, true
		if _, err := m.launch(o, m.now()); err != nil {
			return err
		}
	}
	return nil
}

// draw takes the oldest instance out of the pool that is ready there. It reports
// whether there was one.
func (m *Model) draw(g *Group, at time.Time) bool {
	for _, i := range m.pooled(g.Name) {
		if _, ready := lifecycle[i.state][joining]; ready {
			m.move(i, joining, at)
			return true
		}
	}
	return false
}

// giveBack starts an instance's way back into the pool.
func (m *Model) giveBack(i *Instance, at time.Time) {
	i.returns = true
	g := m.groups[i.options.Group]
	if g.Pool.Back == WarmedPendingWait {
		m.enter(i, WarmedPending, at)
		return
	}
	m.move(i, leaving, at)
}
