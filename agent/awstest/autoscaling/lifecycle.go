package autoscaling

import (
	"fmt"
	"time"

	"koboshi/agent/awstest/query"
)

// move applies an event, and starts the actions and timers of the new state.
func (m *Model) move(i *Instance, ev event, at time.Time) {
	next, ok := lifecycle[i.state][ev]
	switch {
	case !ok:
		return
	case next == warm:
		next = m.poolState(i)
	case next == Terminated && i.returns:
		next = m.poolState(i)
	}
	m.enter(i, next, at)
}

func (m *Model) enter(i *Instance, state State, at time.Time) {
	back := i.state == Standby
	m.record(i, state, i.state, at)
	i.enter(state, at)
	switch state {
	case Pending:
		m.later(i, at.Add(i.options.PendingFor), func(at time.Time) {
			if back { // no hook fires
				m.move(i, passed, at)
				return
			}
			m.begin(i, OnLaunch, at)
		})
	case WarmedPending:
		m.later(i, m.deregister(i, at.Add(i.options.PendingFor)), func(at time.Time) { m.begin(i, i.transition(), at) })
	case Terminating, WarmedTerminating, ReplacingRootVolume:
		m.later(i, m.deregister(i, at.Add(i.options.TerminatingFor)), func(at time.Time) { m.begin(i, OnTerminate, at) })
	case EnteringStandby, Detaching:
		m.later(i, m.deregister(i, at), func(at time.Time) { m.move(i, passed, at) })
	case PendingProceed, TerminatingProceed, ReplacingRootVolumeProceed, RootVolumeReplaced, WarmedPendingProceed, WarmedTerminatingProceed:
		m.later(i, at.Add(i.options.ProceedFor), func(at time.Time) { m.move(i, passed, at) })
	case InService:
		m.register(i)
		m.agenda.add(at, func(time.Time) { _ = m.reconcile(i.options.Group) }) // AZRebalance has launched before it terminates
	case WarmedStopped, WarmedRunning, WarmedHibernated:
		i.returns = false
	case Detached:
		i.options.Group = ""
	case Terminated, WarmedTerminated:
		m.deregister(i, at)
		m.agenda.add(at, func(time.Time) { _ = m.reconcile(i.options.Group) }) // a launch that fails is not replaced
	default: // stays until something happens to it
	}
	if g, ok := m.groups[i.options.Group]; ok && g.run != nil {
		step := func(at time.Time) { m.stepRefresh(g, at) }
		m.agenda.add(at, step)
		if state == InService {
			m.agenda.add(at.Add(g.Refreshes[0].Preferences.Warmup), step)
		}
	}
}

// transition is whose hooks fire on the way into the warm pool.
func (i *Instance) transition() Transition {
	if i.returns {
		return OnTerminate
	}
	return OnLaunch
}

// later runs f unless the instance has moved on by then.
func (m *Model) later(i *Instance, at time.Time, f func(at time.Time)) {
	moves := len(i.history)
	m.agenda.add(at, func(at time.Time) {
		if len(i.history) == moves {
			f(at)
		}
	})
}

// begin opens one action for each hook of the transition.
func (m *Model) begin(i *Instance, on Transition, at time.Time) {
	hooks := m.groups[i.options.Group].on(on)
	if len(hooks) == 0 {
		m.move(i, passed, at)
		return
	}
	m.move(i, hooked, at)
	for _, h := range hooks {
		a := &action{hook: h, Action: Action{Hook: h.Name, Transition: on, Token: m.uuid(), Began: at}}
		a.beat(at)
		i.actions = append(i.actions, a)
		m.watch(i, a)
	}
}

// watch ends the action when its deadline passes; a heartbeat watches anew.
func (m *Model) watch(i *Instance, a *action) {
	m.agenda.add(a.Deadline, func(at time.Time) {
		if a.open() && !at.Before(a.Deadline) {
			m.finish(i, a, a.hook.DefaultResult, ByTimeout, at)
		}
	})
}

// finish ends one action. ABANDON stops the other hooks of the transition; at
// launch it terminates the instance, at termination both results let it go, unless
// the group retains what was abandoned.
func (m *Model) finish(i *Instance, a *action, result Result, how Ending, at time.Time) {
	a.end(result, how, at)
	if result == Abandon {
		i.drop(at)
	}
	switch {
	case result == Abandon && a.Transition == OnLaunch:
		m.leave(i, false, at)
	case result == Abandon && m.groups[i.options.Group].Retain && !i.returns:
		m.move(i, retaining, at)
		m.move(i, passed, at) // where there is nothing to retain
	case !i.waits():
		m.move(i, passed, at)
	}
}

// leave starts the termination. Its hooks fire after an abandoned launch, too.
// Without scaleIn a group that replaces keeps its desired capacity.
func (m *Model) leave(i *Instance, scaleIn bool, at time.Time) {
	if i.state == "" || i.state == Detached {
		i.enter(Terminated, at)
		return
	}
	if i.state.over() || i.state.ends() && !i.state.retained() {
		return
	}
	g := m.groups[i.options.Group]
	if i.state.counts() && (scaleIn || !g.Replace && g.run == nil) {
		g.Desired = max(g.Desired-1, 0)
	}
	i.drop(at)
	i.returns = false
	m.move(i, leaving, at)
}

// completion names an action as CompleteLifecycleAction and
// RecordLifecycleActionHeartbeat do: by token where there is one, else by instance.
type completion struct {
	group, hook, instance, token string
}

func (m *Model) complete(c completion, result Result, now time.Time) error {
	if result != Continue && result != Abandon {
		return query.Invalid(fmt.Sprintf("Invalid lifecycle action result %q", result))
	}
	i, a, err := m.find(c)
	if err != nil {
		return err
	}
	if i.races > 0 {
		i.races--
		return c.inactive()
	}
	m.finish(i, a, result, ByCall, now)
	return nil
}

func (m *Model) heartbeat(c completion, now time.Time) error {
	i, a, err := m.find(c)
	if err != nil {
		return err
	}
	a.Heartbeats++
	a.beat(now)
	m.watch(i, a)
	return nil
}

func (m *Model) find(c completion) (*Instance, *action, error) {
	if _, err := m.group(c.group); err != nil {
		return nil, nil, err
	}
	for _, i := range m.instances {
		if i.options.Group != c.group || (c.token == "" && i.id != c.instance) {
			continue
		}
		for _, a := range i.actions {
			if a.open() && a.Hook == c.hook && (c.token == "" || a.Token == c.token) {
				return i, a, nil
			}
		}
	}
	return nil, nil, c.inactive()
}

// inactive is the answer before the wait has begun, after it has ended, and where
// RaceCompletes asks for it.
func (c completion) inactive() error {
	if c.token != "" {
		return query.Invalid("No active Lifecycle Action found with token " + c.token)
	}
	return query.Invalid("No active Lifecycle Action found with instance ID " + c.instance)
}
