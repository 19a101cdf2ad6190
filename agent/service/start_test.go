package service

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"koboshi/agent/health"
	"koboshi/systemd"
)

const several = "service.units = [\"web.service\", \"worker.service\", \"migrate.service\", \"clean.timer\"]\n"

var (
	up   = systemd.State{Active: "active", Sub: "running"}
	once = systemd.State{Active: "inactive", Sub: "dead", Type: oneshot}
)

func refreshed(more ...string) []string {
	return append([]string{"connect", "refresh web.service", "refresh worker.service", "refresh migrate.service", "refresh clean.timer"}, more...)
}

// Units that run are stopped from the last on, and all are started in their order.
func TestUnitsStart(t *testing.T) {
	f := &fakeSystemd{units: map[string]systemd.State{"migrate.service": once}}
	s := f.service(configured(t, several), nil)
	started := []string{"restart web.service", "start worker.service", "start migrate.service", "start clean.timer"}
	f.state.Active = "inactive"
	if _, err := s.Restart(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.happened(t, refreshed(started...)...)

	f.state = up
	gate, err := s.Restart(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.happened(t, refreshed(append([]string{"stop clean.timer", "stop worker.service"}, started...)...)...)
	looked := map[string]string{}
	f.looks = func(unit, how string) (string, error) { looked[unit] = how; return "", nil }
	if report, err := gate(t.Context(), noOverride); err != nil || report.Attempts != 1 {
		t.Errorf("the gate: %+v, %v", report, err)
	}
	if got, want := fmt.Sprint(looked), "map[clean.timer:gone for good migrate.service:failed web.service:gone for good worker.service:gone for good]"; got != want {
		t.Errorf("looked at %s, want %s", got, want)
	}
}

// The first unit takes the requests, but all have to be up, and the one at fault
// explains why the app is not.
func TestUnitsGate(t *testing.T) {
	exit := &systemd.JobError{Unit: "worker.service", Result: "ended", Cause: "exit-code", Status: 3}
	for name, tt := range map[string]struct {
		looks func(unit, how string) (string, error)
		want  string
	}{
		"a worker that is gone": {func(unit, _ string) (string, error) {
			if unit == "worker.service" {
				return "worker.service is failed (failed)", nil
			}
			return "", nil
		}, "the app is gone: worker.service is failed (failed)"},
		"a worker that is gone while another is started again": {func(unit, _ string) (string, error) {
			switch unit {
			case "worker.service":
				return "worker.service is failed (failed)", nil
			case "web.service":
				return "", fmt.Errorf("web.service has ended; %w", systemd.ErrRestarting)
			}
			return "", nil
		}, "the app is gone: worker.service is failed (failed)"},
		"a worker that crashes again and again": {func(unit, _ string) (string, error) {
			if unit == "worker.service" {
				return "", fmt.Errorf("worker.service has ended; %w", systemd.ErrRestarting)
			}
			return "", nil
		}, "worker.service has ended; systemd restarts it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSystemd{state: up, looks: tt.looks, ended: exit, lines: []string{"no queue"}}
			cfg := configured(t, several+"health.listener = \"any\"\n")
			cfg.Health.Timeout = 1
			gate, err := f.service(cfg, nil).Restart(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			f.calls = nil
			_, err = gate(t.Context(), noOverride)
			if !errors.Is(err, health.ErrUnhealthy) || !strings.Contains(err.Error(), tt.want) || !strings.HasSuffix(err.Error(), "its last line: no queue") {
				t.Errorf("the gate: %v, want %q", err, tt.want)
			}
			if why, ok := errors.AsType[*StartError](err); !ok || !errors.Is(why.Exit, exit) {
				t.Errorf("how it ended: %+v", why)
			}
			f.happened(t, "journal abcd, ended: true", "close")
		})
	}
}

// Nothing is stopped before it is clear that every unit can be started.
func TestUnitsAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		settings string
		fake     fakeSystemd
		is       error
		want     string
	}{
		"missing":             {several, fakeSystemd{fails: map[string]error{"state worker.service": systemd.ErrNoUnit}}, systemd.ErrNoUnit, ""},
		"masked":              {several, fakeSystemd{units: map[string]systemd.State{"clean.timer": {Loaded: "masked"}}}, ErrUnusable, "clean.timer is masked"},
		"with a mistake":      {unit, fakeSystemd{units: map[string]systemd.State{"web.service": {Loaded: "bad-setting"}}}, ErrUnusable, "web.service is bad-setting"},
		"one by two names":    {several, fakeSystemd{units: map[string]systemd.State{"web.service": {Name: "app.service"}, "worker.service": {Name: "app.service"}}}, ErrUnusable, "web.service and worker.service are the same unit"},
		"that waits for us":   {several, fakeSystemd{fails: map[string]error{"order clean.timer": systemd.ErrOrderedAfterUs}}, systemd.ErrOrderedAfterUs, ""},
		"without ExecReload=": {several + "service.reload = true\n", fakeSystemd{units: map[string]systemd.State{"web.service": {Reloads: true}}}, ErrNoReload, "worker.service"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &tt.fake
			f.state.Active = "active"
			_, err := f.service(configured(t, tt.settings), nil).Restart(t.Context(), nil)
			if !errors.Is(err, tt.is) || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("Restart = %v, want %v, %q", err, tt.is, tt.want)
			}
			for _, call := range f.calls {
				if verb, _, _ := strings.Cut(call, " "); verb != "connect" && verb != "refresh" && verb != "close" {
					t.Errorf("it came to %s", call)
				}
			}
		})
	}
}

// What the machine has can be looked at before anything is done. What the release
// brings is not there yet.
func TestCheck(t *testing.T) {
	f := &fakeSystemd{fails: map[string]error{"state worker.service": systemd.ErrNoUnit}}
	if err := f.service(configured(t, several), nil).Check(t.Context()); !errors.Is(err, systemd.ErrNoUnit) {
		t.Errorf("Check = %v", err)
	}
	f.happened(t, "connect", "refresh web.service", "refresh worker.service", "close")
	if err := f.service(configured(t, several+"service.unit_files = [\"worker.service\"]\n"), nil).Check(t.Context()); err != nil {
		t.Errorf("Check of what the release brings = %v", err)
	}
	f.happened(t, "connect", "refresh web.service", "refresh migrate.service", "refresh clean.timer", "close")
}

// What cannot be started ends the start; those after it are not begun.
func TestUnitsStartFails(t *testing.T) {
	failed := &systemd.JobError{Unit: "worker.service", Result: "failed", Cause: "exit-code", Status: 3}
	f := &fakeSystemd{state: up, fails: map[string]error{"start worker.service": failed}, lines: []string{"no queue"}}
	_, err := f.service(configured(t, several), nil).Restart(t.Context(), nil)
	if !errors.Is(err, failed) || !strings.HasSuffix(err.Error(), "its last line: no queue") {
		t.Errorf("Restart = %v", err)
	}
	f.happened(t, refreshed("stop clean.timer", "stop migrate.service", "stop worker.service", "restart web.service", "start worker.service",
		"journal , ended: true", "close")...)
}

// With service.reload a unit that runs goes on, and what its later end would be
// replaced by was not reloaded. Others are started.
func TestUnitsReload(t *testing.T) {
	able := systemd.State{Active: "active", Reloads: true}
	f := &fakeSystemd{units: map[string]systemd.State{
		"web.service": able, "worker.service": {Active: "failed", Reloads: true}, "migrate.service": once, "clean.timer": up,
	}}
	s := f.service(configured(t, several+"service.reload = true\n"), nil)
	gate, err := s.Restart(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.happened(t, refreshed("stop clean.timer", "reload web.service", "start worker.service", "start migrate.service", "start clean.timer")...)
	if want := []string{"worker.service", "migrate.service"}; !slices.Equal(f.asked, want) { // processes of a unit that is reloaded may be older
		t.Errorf("earlier processes of %q, want those of %q", f.asked, want)
	}
	looked := map[string]string{}
	f.looks = func(unit, how string) (string, error) { looked[unit] = how; return "", nil }
	if _, err := gate(t.Context(), noOverride); err != nil {
		t.Error(err)
	}
	if looked["web.service"] != "gone" || looked["worker.service"] != "gone for good" {
		t.Errorf("looked at %v", looked)
	}

	failed := &systemd.JobError{Unit: "web.service", Reload: true, Result: "failed", Cause: "exit-code"}
	f = &fakeSystemd{state: able, fails: map[string]error{"reload web.service": failed}, lines: []string{"unknown directive"}}
	_, err = f.service(configured(t, unit+"service.reload = true\n"), nil).Restart(t.Context(), nil)
	if want := "reload of web.service: failed (exit-code); its last line: unknown directive"; err == nil || err.Error() != want {
		t.Errorf("Restart = %v, want %s", err, want)
	}
}

// The files of units that the release brings are linked at once, and no others.
func TestUnitFiles(t *testing.T) {
	cfg := configured(t, several+"service.unit_files = [\"etc/web.service\", \"etc/clean.timer\", \"etc/clean.service\"]\n")
	f := &fakeSystemd{}
	if _, err := f.service(cfg, nil).Restart(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	etc := filepath.Join(cfg.Install.Root, "current/etc")
	want := []string{"connect", "link " + etc + "/web.service " + etc + "/clean.timer " + etc + "/clean.service", "refresh worker.service", "refresh migrate.service"}
	if got := f.calls[:len(want)]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// A worker that nothing can ask is healthy while its units run. Without systemd
// nothing is known of it.
func TestUnitsWithoutProbe(t *testing.T) {
	f := &fakeSystemd{state: up}
	cfg := configured(t, several)
	cfg.Health.TCP = ""
	s := f.service(cfg, nil)
	gate, err := s.Restart(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := gate(t.Context(), noOverride); err != nil || report.Note != "" {
		t.Errorf("the gate: %+v, %v", report, err)
	}
	if err := s.Probe(t.Context(), noOverride); err != nil {
		t.Errorf("Probe = %v", err)
	}
	if err := s.CheckListener(t.Context(), noOverride); err != nil {
		t.Errorf("CheckListener = %v", err)
	}
	f.gone = "worker.service is failed (failed)"
	if err := s.Probe(t.Context(), noOverride); !errors.Is(err, health.ErrUnhealthy) || !strings.Contains(err.Error(), f.gone) {
		t.Errorf("Probe of a worker that is gone = %v", err)
	}
	f.fails = map[string]error{"state worker.service": systemd.ErrDisconnected}
	if err := s.Probe(t.Context(), noOverride); !errors.Is(err, health.ErrUnknown) || errors.Is(err, health.ErrUnhealthy) {
		t.Errorf("Probe without systemd = %v, want ErrUnknown alone", err)
	}
	f.fails = map[string]error{"state worker.service": systemd.ErrNoUnit}
	if err := s.Probe(t.Context(), noOverride); !errors.Is(err, health.ErrUnhealthy) {
		t.Errorf("Probe without the unit = %v, want ErrUnhealthy", err)
	}
}

// All units have to run, but for those that may have ended.
func TestUnitsDown(t *testing.T) {
	f := &fakeSystemd{state: up, units: map[string]systemd.State{"migrate.service": once}}
	s := f.service(configured(t, several), nil)
	if why, err := s.Down(t.Context()); why != "" || err != nil {
		t.Errorf("Down = %q, %v", why, err)
	}
	f.units["clean.timer"] = systemd.State{Active: "inactive", Sub: "dead"}
	if running, err := s.Running(t.Context()); !running || err != nil {
		t.Errorf("Running = %v, %v while most run", running, err)
	}
	if why, err := s.Down(t.Context()); why != "clean.timer is inactive (dead)" || err != nil {
		t.Errorf("Down = %q, %v", why, err)
	}
	f.units["migrate.service"] = systemd.State{Active: "failed", Sub: "failed", Type: oneshot}
	if why, err := s.Down(t.Context()); why != "migrate.service is failed (failed)" || err != nil {
		t.Errorf("Down = %q, %v", why, err)
	}
	f.state.Active = "inactive"
	if running, err := s.Running(t.Context()); running || err != nil {
		t.Errorf("Running = %v, %v while none does", running, err)
	}
}
