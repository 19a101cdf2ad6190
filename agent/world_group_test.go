package agent_test

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"koboshi/agent/lifecycle"
)

type group struct{ *world }

func (g group) Group(ctx context.Context, _ string) (string, string, error) {
	g.roundTrip()
	g.pass()
	if g.onGroup != nil {
		g.onGroup(ctx)
	}
	if g.groupErr != nil {
		g.gate.Lock()
		err := g.groupErr()
		g.gate.Unlock()
		if err != nil {
			return "", "", err
		}
	}
	return "web", g.inState, nil
}

func (g group) HeartbeatTimeout(context.Context, string, string) (time.Duration, error) {
	g.pass()
	return 10 * time.Minute, g.hookErr
}

func (g group) Heartbeat(context.Context, lifecycle.Action) error {
	g.gate.Lock()
	defer g.gate.Unlock()
	return g.beatErr
}

func (g group) KeepAlive(ctx context.Context, _ lifecycle.Action, _ time.Duration, rep func(int, error)) {
	g.pass()
	if g.heartbeats {
		rep(1, nil)
	}
	<-ctx.Done()
}

func (g group) Complete(ctx context.Context, h lifecycle.Action, r lifecycle.Result, ready func(context.Context) error) (lifecycle.Outcome, error) {
	g.pass()
	if h != (lifecycle.Action{Group: "web", Hook: cmp.Or(g.hook, "koboshi-launching"), Instance: g.id}) {
		return lifecycle.Outcome{}, fmt.Errorf("an unknown hook %v", h)
	}
	if g.onComplete != nil {
		g.onComplete()
	}
	select {
	case <-time.After(g.throttled):
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return lifecycle.Outcome{}, err
	}
	if ready != nil {
		if err := ready(ctx); err != nil {
			return lifecycle.Outcome{}, err
		}
	}
	if g.signalled != nil {
		g.signalled()
	}
	g.signals = append(g.signals, r)
	return g.outcome, g.completeErr
}

type stacks struct{ *world }

func (s stacks) Signal(ctx context.Context, r lifecycle.Resource, status lifecycle.Status, ready func(context.Context) error) (lifecycle.End, error) {
	if r != (lifecycle.Resource{Stack: s.stack, Name: "Group", Instance: s.id}) {
		return "", fmt.Errorf("an unknown resource %v", r)
	}
	if s.onStack != nil {
		s.onStack()
	}
	if ready != nil {
		if err := ready(ctx); err != nil {
			return "", err
		}
	}
	if s.stackErr != nil {
		if err := s.stackErr(); err != nil {
			return "", err
		}
	}
	s.told = append(s.told, string(status))
	return cmp.Or(s.stackEnd, lifecycle.Completed), nil
}
