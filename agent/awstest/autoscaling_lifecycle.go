package awstest

import (
	"fmt"
	"time"
)

// move applies an event, and starts what the new state brings with it.
func (s *scaling) move(i *Instance, ev event, at time.Time) {
	next, ok := lifecycle[i.state][ev]
	if !ok {
		return
	}
	s.enter(i, next, at)
}

func (s *scaling) enter(i *Instance, state State, at time.Time) {
	i.enter(state, at)
	switch state {
	case Pending:
		s.later(i, at.Add(i.options.PendingFor), func(at time.Time) { s.begin(i, OnLaunch, at) })
	case Terminating:
		s.later(i, at.Add(i.options.TerminatingFor), func(at time.Time) { s.begin(i, OnTerminate, at) })
	case PendingProceed, TerminatingProceed:
		s.later(i, at.Add(i.options.ProceedFor), func(at time.Time) { s.move(i, passed, at) })
	case Terminated:
		s.agenda.add(at, func(time.Time) { _ = s.reconcile(i.options.Group) }) // a launch that fails is not replaced
	default: // stays until something happens to it
	}
}

// later runs f unless the instance has moved on by then.
func (s *scaling) later(i *Instance, at time.Time, f func(at time.Time)) {
	moves := len(i.history)
	s.agenda.add(at, func(at time.Time) {
		if len(i.history) == moves {
			f(at)
		}
	})
}

// begin opens one action for each hook of the transition.
func (s *scaling) begin(i *Instance, on Transition, at time.Time) {
	hooks := s.groups[i.options.Group].on(on)
	if len(hooks) == 0 {
		s.move(i, passed, at)
		return
	}
	s.move(i, hooked, at)
	for _, h := range hooks {
		a := &action{hook: h, Action: Action{Hook: h.Name, Transition: on, Token: s.uuid(), Began: at}}
		a.beat(at)
		i.actions = append(i.actions, a)
		s.watch(i, a)
	}
}

// watch ends the action when its deadline passes; a heartbeat watches anew.
func (s *scaling) watch(i *Instance, a *action) {
	s.agenda.add(a.Deadline, func(at time.Time) {
		if a.open() && !at.Before(a.Deadline) {
			s.finish(i, a, a.hook.DefaultResult, ByTimeout, at)
		}
	})
}

// finish ends one action. ABANDON stops the other hooks of the transition; at
// launch it terminates the instance, at termination both results let it go.
func (s *scaling) finish(i *Instance, a *action, result Result, how Ending, at time.Time) {
	a.end(result, how, at)
	if result == Abandon {
		i.drop(at)
	}
	switch {
	case result == Abandon && a.Transition == OnLaunch:
		s.leave(i, false, at)
	case !i.waits():
		s.move(i, passed, at)
	}
}

// leave starts the termination. Its hooks fire after an abandoned launch, too.
// Without scaleIn a group that replaces keeps its desired capacity.
func (s *scaling) leave(i *Instance, scaleIn bool, at time.Time) {
	if i.state == "" {
		i.enter(Terminated, at)
		return
	}
	if i.state.leaves() {
		return
	}
	g := s.groups[i.options.Group]
	if scaleIn || !g.Replace {
		g.Desired = max(g.Desired-1, 0)
	}
	i.drop(at)
	s.move(i, leaving, at)
}

// completion names an action as CompleteLifecycleAction and
// RecordLifecycleActionHeartbeat do: by token where there is one, else by instance.
type completion struct {
	group, hook, instance, token string
}

func (s *scaling) complete(c completion, result Result, now time.Time) error {
	if result != Continue && result != Abandon {
		return invalid(fmt.Sprintf("Invalid lifecycle action result %q", result))
	}
	i, a, err := s.find(c)
	if err != nil {
		return err
	}
	if i.races > 0 {
		i.races--
		return c.inactive()
	}
	s.finish(i, a, result, ByCall, now)
	return nil
}

func (s *scaling) heartbeat(c completion, now time.Time) error {
	i, a, err := s.find(c)
	if err != nil {
		return err
	}
	a.Heartbeats++
	a.beat(now)
	s.watch(i, a)
	return nil
}

func (s *scaling) find(c completion) (*Instance, *action, error) {
	if _, err := s.group(c.group); err != nil {
		return nil, nil, err
	}
	for _, i := range s.instances {
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

// inactive is the answer before the wait has begun, after it has ended, and in between by chance.
func (c completion) inactive() error {
	if c.token != "" {
		return invalid("No active Lifecycle Action found with token " + c.token)
	}
	return invalid("No active Lifecycle Action found with instance ID " + c.instance)
}
