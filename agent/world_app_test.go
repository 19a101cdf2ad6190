package agent_test

import (
	"cmp"
	"context"
	"errors"
	"time"

	"koboshi/agent/health"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/systemd"
)

type fakeApp struct{ *world }

func (s fakeApp) Check(context.Context) error { return s.unusable }

func (s fakeApp) Restart(_ context.Context, env []string) (service.Gate, error) {
	s.pass()
	version := s.current()
	s.envs = append(s.envs, env)
	if s.broken[version] {
		return nil, errors.New("the unit failed")
	}
	s.running = version
	s.restarts++
	s.story = append(s.story, "restart "+version)
	return func(ctx context.Context, _ artifacts.Health) (health.Report, error) {
		s.story = append(s.story, "gate "+version)
		if s.onGate != nil {
			s.onGate()
		}
		if err := cmp.Or(s.answers(ctx, "gate"), ctx.Err()); err != nil {
			return health.Report{}, err
		}
		if s.ill[version] {
			return health.Report{Attempts: 3}, &health.UnhealthyError{Last: errors.New("503"), Attempts: 3}
		}
		return health.Report{Attempts: 1}, nil
	}, nil
}

func (s fakeApp) Probe(ctx context.Context, h artifacts.Health) error {
	s.pass()
	_, err := s.Await(ctx, h)
	return err
}

func (s fakeApp) Await(ctx context.Context, _ artifacts.Health) (health.Report, error) {
	s.pass()
	switch {
	case ctx.Err() != nil:
		return health.Report{}, context.Cause(ctx)
	case s.running == "" || s.ill[s.running]:
		return health.Report{}, &health.UnhealthyError{Last: errors.New("503"), Attempts: 1}
	}
	return health.Report{Attempts: 1}, nil
}

func (s fakeApp) Stop(context.Context) error {
	s.pass()
	<-time.After(s.stopTime)
	s.story = append(s.story, "stop "+s.running)
	s.running = ""
	return s.stopErr
}

func (s fakeApp) Load(context.Context) error { return nil }

// Limits are those of a unit that is stopped quickly.
func (s fakeApp) Limits(context.Context) (stop, restart time.Duration, err error) {
	return 10 * time.Second, systemd.Endless, nil
}

// Arm stops the app at that moment, as PID 1 does.
func (s fakeApp) Arm(_ context.Context, at time.Time) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.armErr != nil {
		return s.armErr
	}
	s.armed = at
	s.rearm()
	return nil
}

// rearm is for a clock that was set, too.
func (w *world) rearm() {
	if w.pid1 != nil {
		w.pid1.Stop()
	}
	if w.armed.IsZero() {
		return
	}
	w.pid1 = time.AfterFunc(time.Until(w.armed.Add(-w.stepped)), func() {
		w.gate.Lock()
		defer w.gate.Unlock()
		if w.running != "" {
			w.story = append(w.story, "PID 1 stops "+w.running)
		}
		w.running, w.armed = "", time.Time{}
	})
}

func (s fakeApp) Disarm(context.Context) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.armed = time.Time{}
	s.rearm()
	return nil
}

func (s fakeApp) Running(context.Context) (bool, error) {
	s.pass()
	return s.running != "", nil
}

func (s fakeApp) Down(context.Context) (string, error) {
	s.pass()
	if s.running == "" {
		return "web.service is inactive (dead)", nil
	}
	return "", nil
}

func (s fakeApp) RunHook(ctx context.Context, h service.Hook) error {
	s.pass()
	name := h.Name + " " + h.Version
	s.story = append(s.story, name)
	if s.onHook != nil {
		s.onHook(h)
	}
	return errors.Join(s.answers(ctx, name), ctx.Err(), s.hookFails[name])
}
