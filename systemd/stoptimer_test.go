package systemd

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// timers is a systemd whose timers elapse when they say, and the services that were
// made with them.
func timers() (f *fakeSystemd, services map[string]map[string]any) {
	f = &fakeSystemd{units: map[string]*fakeUnit{}}
	services = map[string]map[string]any{}
	f.beside = func(name string, properties map[string]any) { services[name] = properties }
	f.made = func(properties map[string]any) *fakeUnit {
		at := calendars(properties)[0][1]
		elapses, err := time.Parse(calendarForm, at)
		if err != nil {
			panic(err)
		}
		u := newUnit("done")
		u.timer = map[string]any{"NextElapseUSecRealtime": uint64(elapses.UnixMicro())}
		return u
	}
	return f, services
}

func calendars(properties map[string]any) (all [][2]string) {
	for _, pair := range properties["TimersCalendar"].([][]any) {
		all = append(all, [2]string{pair[0].(string), pair[1].(string)})
	}
	return all
}

const (
	firstStop  = "koboshi-stop-web-f8c3ee65-946684920"
	secondStop = "koboshi-stop-web-f8c3ee65-946685100"
)

var webUnits = []string{"web.socket", "web.service", "web.service"}

// armed runs under the clock of testing/synctest, which begins in the year 2000.
func armed(t *testing.T, check func(t *testing.T, f *fakeSystemd, m *Manager)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, _ := timers()
		m := f.start(t)
		if err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
		check(t, f, m)
		m.Close()
		f.leave()
	})
}

func TestArmStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, services := timers()
		made := f.remember()
		m := f.start(t)
		defer f.leave()
		defer m.Close()
		if err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(2*time.Minute+999*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		timer := made()
		if got, want := calendars(timer), [][2]string{{"OnCalendar", "2000-01-01 00:02:00 UTC"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("calendar: %q, want %q", got, want)
		}
		delete(timer, "TimersCalendar")
		wantProperties(t, timer, map[string]any{
			"Description": "stops web.service, web.socket at the end of web", "AccuracyUSec": uint64(1e6),
			"RemainAfterElapse": false, "DefaultDependencies": false, "IgnoreOnIsolate": true, "CollectMode": "inactive-or-failed",
		})
		service := services[firstStop+".service"]
		wantProperties(t, service, map[string]any{
			"Description": "the end of web, which stops web.service, web.socket", "Type": "oneshot",
			"ExecStart": [][]any{{"/bin/true", []string{"/bin/true"}, true}},
			"Conflicts": []string{"web.service", "web.socket"}, "After": []string{"web.service", "web.socket"},
			"DefaultDependencies": false, "CollectMode": "inactive-or-failed",
		})
		if f.called() != "start "+firstStop+".timer fail" {
			t.Errorf("calls: %s", f.called())
		}
		wantArmed(t, m, "web", time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC))
	})
}

func wantProperties(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if !reflect.DeepEqual(got[name], value) {
			t.Errorf("%s is %#v, want %#v", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d properties, want %d: %v", len(got), len(want), got)
	}
}

// wantArmed: the zero time is that nothing is armed.
func wantArmed(t *testing.T, m *Manager, name string, want time.Time) {
	t.Helper()
	at, armed, err := m.StopArmed(t.Context(), name)
	if err != nil || armed == want.IsZero() || !at.Equal(want) {
		t.Errorf("a stop of %s is armed: %t, at %v, %v; want %v", name, armed, at, err, want)
	}
}

// There is no moment without one: the new timer is seen to be armed before the
// earlier one is removed.
func TestArmStopAgain(t *testing.T) {
	armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
		if err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(5*time.Minute)); err != nil {
			t.Fatal(err)
		}
		want := "start " + firstStop + ".timer fail, start " + secondStop + ".timer fail, stop " + firstStop + ".timer replace"
		if f.called() != want || f.left() != secondStop+".timer" {
			t.Errorf("calls: %s; want %s; left: %s", f.called(), want, f.left())
		}
		wantArmed(t, m, "web", time.Date(2000, 1, 1, 0, 5, 0, 0, time.UTC))
	})
}

// What is armed already stays; for other units it is another one.
func TestArmStopForTheSameMoment(t *testing.T) {
	armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
		at := time.Now().Add(2 * time.Minute)
		if err := m.ArmStop(t.Context(), "web", []string{"web.service", "web.socket"}, at); err != nil || f.left() != firstStop+".timer" {
			t.Errorf("the same units: %v, left: %s", err, f.left())
		}
		if err := m.ArmStop(t.Context(), "web", []string{"web.service"}, at); err != nil || f.left() == firstStop+".timer" || strings.Contains(f.left(), ",") {
			t.Errorf("other units: %v, left: %s", err, f.left())
		}
		wantArmed(t, m, "web", at)
	})
}

func TestArmStopInThePast(t *testing.T) {
	armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
		f.calls = nil
		for _, at := range []time.Time{{}, time.Now().Add(-time.Hour), time.Now(), time.Now().Add(999 * time.Millisecond)} {
			if err := m.ArmStop(t.Context(), "web", webUnits, at); !errors.Is(err, ErrPast) || f.called() != "" {
				t.Errorf("at %v: %v, want ErrPast; calls: %s", at, err, f.called())
			}
		}
		wantArmed(t, m, "web", time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC))
	})
}

// systemd is asked when the timer elapses, and what elapses never, or at another
// time, is not armed. The earlier one stays.
func TestArmStopThatNeverComes(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*fakeUnit)
		past  bool
	}{
		"elapsed":         {func(u *fakeUnit) { u.timer["NextElapseUSecRealtime"] = uint64(0) }, true},
		"never":           {func(u *fakeUnit) { u.timer["NextElapseUSecRealtime"] = uint64(never) }, true},
		"gone":            {func(u *fakeUnit) { u.props["LoadState"] = "not-found" }, true},
		"ended":           {func(u *fakeUnit) { u.props["ActiveState"] = "inactive" }, true},
		"at another time": {func(u *fakeUnit) { u.timer["NextElapseUSecRealtime"] = uint64(946685101000000) }, false},
		"not a time":      {func(u *fakeUnit) { u.timer["NextElapseUSecRealtime"] = "soon" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
				was := f.made
				f.made = func(p map[string]any) *fakeUnit { u := was(p); c.spoil(u); return u }
				err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(5*time.Minute))
				if err == nil || errors.Is(err, ErrPast) != c.past || f.left() != firstStop+".timer" {
					t.Errorf("got %v, left: %s", err, f.left())
				}
			})
		})
	}
}

// An earlier one that is left would stop the units too early: that is said.
func TestArmStopBesideAnotherThatStays(t *testing.T) {
	armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
		f.units[firstStop+".timer"].result = "failed"
		err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(5*time.Minute))
		if _, ok := errors.AsType[*JobError](err); !ok || !strings.Contains(err.Error(), firstStop) {
			t.Errorf("got %v, want the job of %s", err, firstStop)
		}
		wantArmed(t, m, "web", time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC)) // the earliest
		f.units[firstStop+".timer"].result = "done"
		if err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(5*time.Minute)); err != nil || f.left() != secondStop+".timer" {
			t.Errorf("once more: %v, left: %s", err, f.left())
		}
	})
}

// Apps whose names begin alike have timers of their own.
func TestStopsOfOthers(t *testing.T) {
	armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
		later := time.Now().Add(5 * time.Minute)
		for _, name := range []string{"web-2", "web-f8c3ee65", "we"} {
			if err := m.ArmStop(t.Context(), name, []string{name + ".service"}, later); err != nil {
				t.Fatal(err)
			}
		}
		f.units["koboshi-stop-web-f8c3ee65.timer"] = newUnit("done")
		if err := m.DisarmStop(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		wantArmed(t, m, "web", time.Time{})
		for _, name := range []string{"web-2", "web-f8c3ee65", "we"} {
			wantArmed(t, m, name, later)
		}
		if err := m.DisarmStop(t.Context(), "web"); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}

// A connection that is lost at any call leaves one timer, and no doubt.
func TestArmStopOverALostConnection(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		for _, kind := range []string{"start", "stop"} {
			armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
				f.cut = map[string]string{kind: when}
				err := m.ArmStop(t.Context(), "web", webUnits, time.Now().Add(5*time.Minute))
				if err != nil || f.left() != secondStop+".timer" || len(f.cut) > 0 {
					t.Errorf("lost %s the %s: %v, left: %s", when, kind, err, f.left())
				}
			})
		}
	}
}

func TestStopArmedWithoutAnswer(t *testing.T) {
	armed(t, func(t *testing.T, f *fakeSystemd, m *Manager) {
		f.leave()
		if _, _, err := m.StopArmed(t.Context(), "web"); !errors.Is(err, ErrDisconnected) {
			t.Errorf("got %v, want ErrDisconnected", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.ArmStop(ctx, "web", webUnits, time.Now().Add(5*time.Minute)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestLifetime(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]any
		want Lifetime
	}{
		"as it is":        {nil, Lifetime{90 * time.Second, "on-failure", 100 * time.Millisecond}},
		"mixed":           {map[string]any{"KillMode": "mixed"}, Lifetime{90 * time.Second, "on-failure", 100 * time.Millisecond}},
		"main process":    {map[string]any{"KillMode": "process"}, Lifetime{Endless, "on-failure", 100 * time.Millisecond}},
		"no SIGKILL":      {map[string]any{"SendSIGKILL": false}, Lifetime{Endless, "on-failure", 100 * time.Millisecond}},
		"infinity":        {map[string]any{"TimeoutStopUSec": uint64(never)}, Lifetime{Endless, "on-failure", 100 * time.Millisecond}},
		"never restarted": {map[string]any{"Restart": "no", "RestartUSec": uint64(never)}, Lifetime{90 * time.Second, "no", Endless}},
	} {
		f := one("done")
		service := f.units["web.service"].service
		for _, p := range []property{{"KillMode", "control-group"}, {"SendSIGKILL", true}, {"TimeoutStopUSec", uint64(90e6)}, {"RestartUSec", uint64(100e3)}, {"Restart", "on-failure"}} {
			service[p.name] = p.value
		}
		for name, value := range c.set {
			service[name] = value
		}
		if got, err := f.start(t).Lifetime(t.Context(), "web.service"); got != c.want || err != nil {
			t.Errorf("%s: %+v and %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestLifetimeOfOthers(t *testing.T) {
	f := one("done")
	f.units["web.socket"] = newUnit("done")
	m := f.start(t)
	if got, err := m.Lifetime(t.Context(), "web.socket"); got != (Lifetime{}) || err != nil {
		t.Errorf("a socket: %+v and %v", got, err)
	}
	if _, err := m.Lifetime(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("no unit: %v", err)
	}
	if _, err := m.Lifetime(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "SendSIGKILL") {
		t.Errorf("a service without timeouts: %v", err)
	}
}
