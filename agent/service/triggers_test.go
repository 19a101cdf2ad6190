package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koboshi/systemd"
)

const withID = "service.units = [\"web.service\", \"clean.timer\"]\nnode_id.scope = \"web\"\n"

// triggering is a systemd with a socket that starts the app, and a timer of the app's that
// starts a service.
func triggering(pulled bool) *fakeSystemd {
	return &fakeSystemd{
		state: systemd.State{Active: "inactive", Loaded: "loaded"},
		triggers: map[string][]systemd.Trigger{
			"web.service": {{Unit: "web.socket", Starts: "web.service", Pulled: pulled}, {Unit: "clean.timer", Starts: "web.service"}},
			"clean.timer": {{Unit: "clean.timer", Starts: "clean.service"}},
		},
		lifetimes: map[string]systemd.Lifetime{
			"web.service": {StopTimeout: time.Second}, "clean.service": {StopTimeout: time.Minute, Restart: "always", RestartAfter: 2 * time.Second},
		},
	}
}

// Where an app with a node id is down, so is what would start it again, and what it has
// started.
func TestTriggersAreStopped(t *testing.T) {
	f := triggering(true)
	s := f.service(configured(t, withID), nil)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.happened(t, "connect", "triggers web.service", "triggers clean.timer", "stop web.socket", "stop clean.timer", "stop web.service", "stop clean.service", "close")
	if err := s.Arm(t.Context(), time.UnixMilli(9)); err != nil {
		t.Fatal(err)
	}
	f.happened(t, "connect", "triggers web.service", "triggers clean.timer", "arm web[clean.service web.service clean.timer web.socket] 9", "close")
	if stop, restart, err := s.Limits(t.Context()); stop != 61*time.Second || restart != 2*time.Second || err != nil {
		t.Errorf("limits: %s, %s, %v", stop, restart, err)
	}
}

// What systemd cannot say of them keeps nothing running that can be stopped.
func TestTriggersAreNotKnown(t *testing.T) {
	f := triggering(true)
	f.fails = map[string]error{"triggers web.service": systemd.ErrDisconnected}
	s := f.service(configured(t, withID), nil)
	if err := s.Stop(t.Context()); !errors.Is(err, systemd.ErrDisconnected) {
		t.Errorf("stop: %v", err)
	}
	f.happened(t, "connect", "triggers web.service", "stop clean.timer", "stop web.service", "close")
	if _, err := s.Running(t.Context()); !errors.Is(err, systemd.ErrDisconnected) {
		t.Errorf("running: %v", err)
	}
	if err := s.Arm(t.Context(), time.UnixMilli(9)); !errors.Is(err, systemd.ErrDisconnected) {
		t.Errorf("arm: %v", err)
	}
}

func TestTriggeredRuns(t *testing.T) {
	f := triggering(true)
	s := f.service(configured(t, withID), nil)
	f.units = map[string]systemd.State{"web.socket": {Active: "active"}}
	if running, err := s.Running(t.Context()); running || err != nil {
		t.Errorf("only the socket is there: %t, %v", running, err)
	}
	f.units["clean.service"] = systemd.State{Active: "activating"}
	if running, err := s.Running(t.Context()); !running || err != nil {
		t.Errorf("what the timer has started runs: %t, %v", running, err)
	}
	f.fails = map[string]error{"state clean.service": systemd.ErrNoUnit}
	if running, err := s.Running(t.Context()); running || err != nil {
		t.Errorf("what the timer starts is not there: %t, %v", running, err)
	}
}

// A socket that is stopped with the app has to be started with it.
func TestTriggerNotPulled(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		pulled   bool
		refused  bool
	}{
		"required":        {withID, true, false},
		"not required":    {withID, false, true},
		"without node id": {"service.units = [\"web.service\", \"clean.timer\"]\n", false, false},
	} {
		f := triggering(c.pulled)
		_, err := f.service(configured(t, c.settings), nil).Restart(t.Context(), nil)
		if errors.Is(err, ErrUnusable) != c.refused || c.refused && !strings.Contains(err.Error(), "web.socket") {
			t.Errorf("%s: %v, want it refused: %t", name, err, c.refused)
		}
		if e, ok := errors.AsType[triggerError](err); ok != c.refused || ok && !strings.Contains(e.Advice(), "Requires=web.socket and After=web.socket into web.service") {
			t.Errorf("%s: advice %q", name, e.Advice())
		}
	}
}
