package service

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/health"
	"koboshi/artifacts"
	"koboshi/systemd"
)

const unit = "service.unit = \"web.service\"\n"

func TestUnitRestart(t *testing.T) {
	cfg := configured(t, unit+"service.unit_file = \"etc/web.service\"\n")
	f := &fakeSystemd{}
	gate, err := f.service(cfg, nil).Restart(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.happened(t, "connect", "link "+filepath.Join(cfg.Install.Root, "current/etc/web.service"), "restart web.service")
	if report, err := gate(t.Context(), noOverride); err != nil || report.Attempts != 1 {
		t.Errorf("the gate of a unit that runs: %+v, %v", report, err)
	}
	f.happened(t, "close")

	f.gone = "web.service is failed (exit-code)"
	gate, err = f.service(configured(t, unit), nil).Restart(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.happened(t, "connect", "refresh web.service", "restart web.service")
	if _, err := gate(t.Context(), noOverride); !errors.Is(err, health.ErrUnhealthy) || !strings.Contains(err.Error(), f.gone) {
		t.Errorf("the gate of a unit that is gone: %v", err)
	}
	f.happened(t, "journal abcd, ended: false", "close")

	refused := errors.New("refused")
	f.fails = map[string]error{"restart web.service": refused}
	if _, err := f.service(configured(t, unit), nil).Restart(t.Context(), nil); !errors.Is(err, refused) {
		t.Errorf("Restart = %v, want %v", err, refused)
	}
	f.happened(t, "connect", "refresh web.service", "restart web.service", "close")
}

// At a gate as in a single probe, the listener must be the app's, or there is a note
// that it cannot be seen; with "any" there is none.
func TestUnitListener(t *testing.T) {
	for settings, noted := range map[string]bool{"": true, "health.listener = \"any\"\n": false} {
		f := &fakeSystemd{}
		s := f.service(configured(t, unit+settings), nil)
		gate, err := s.Restart(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		started, err := gate(t.Context(), noOverride)
		if err != nil || started.Note != "" != noted {
			t.Errorf("%q: a start: %+v, %v", settings, started, err)
		}
		found, err := s.Await(t.Context(), noOverride)
		if err != nil || found.Note != "" != noted {
			t.Errorf("%q: an app that runs: %+v, %v", settings, found, err)
		}
		if err := s.CheckListener(t.Context(), noOverride); errors.Is(err, health.ErrUnseen) != noted {
			t.Errorf("%q: CheckListener = %v", settings, err)
		}
	}
}

// That systemd does not answer is not the app's fault.
func TestUnitListenerWithoutSystemd(t *testing.T) {
	cfg := configured(t, unit)
	s := Service{config: cfg, backend: units{config: cfg, connect: func(context.Context) (manager, error) { return nil, systemd.ErrDisconnected }}}
	if err := s.Probe(t.Context(), noOverride); err != nil {
		t.Errorf("Probe = %v", err)
	}
	if found, err := s.Await(t.Context(), noOverride); err != nil || found.Note != "" {
		t.Errorf("Await = %+v, %v", found, err)
	}
	if err := s.CheckListener(t.Context(), noOverride); !errors.Is(err, systemd.ErrDisconnected) {
		t.Errorf("CheckListener = %v, want ErrDisconnected", err)
	}
}

func TestWatchedIsNotJudgedWithoutAnswer(t *testing.T) {
	w := watch{runs: []*run{{unit: "web.service", look: func(context.Context) (string, error) { return "", systemd.ErrDisconnected }}}}
	if why, err := w.Gone(t.Context()); why != "" || !errors.Is(err, health.ErrUnknown) || !errors.Is(err, systemd.ErrDisconnected) {
		t.Errorf("Gone = %q, %v", why, err)
	}
}

func TestUnitStop(t *testing.T) {
	f := &fakeSystemd{}
	s := f.service(configured(t, unit), nil)
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	f.happened(t, "connect", "stop web.service", "close")
	if err := f.service(configured(t, several), nil).Stop(t.Context()); err != nil {
		t.Error(err)
	}
	f.happened(t, "connect", "stop clean.timer", "stop migrate.service", "stop worker.service", "stop web.service", "close")
	f.err = systemd.ErrDisconnected
	if err := s.Stop(t.Context()); !errors.Is(err, f.err) {
		t.Errorf("Stop = %v, want %v", err, f.err)
	}
}

func TestUnitDown(t *testing.T) {
	f := &fakeSystemd{}
	s := f.service(configured(t, unit), nil)
	for state, want := range map[string]string{
		"active": "", "reloading": "", "activating": "", "deactivating": "",
		"inactive": "web.service is inactive (dead)", "failed": "web.service is failed (dead)",
	} {
		f.state.Active, f.state.Sub = state, "dead"
		if got, err := s.Down(t.Context()); got != want || err != nil {
			t.Errorf("a unit that is %s: down: %q, %v", state, got, err)
		}
	}
	f.state = once
	if got, err := s.Down(t.Context()); got == "" || err != nil {
		t.Errorf("a first unit that has ended: down: %q, %v", got, err)
	}
	f.calls, f.err, f.state = nil, systemd.ErrNoUnit, systemd.State{}
	if _, err := s.Running(t.Context()); !errors.Is(err, f.err) {
		t.Errorf("not knowing became an answer: %v", err)
	}
	f.happened(t, "connect", "close")
	if _, err := s.Down(t.Context()); !errors.Is(err, f.err) {
		t.Errorf("not knowing became an answer: %v", err)
	}
	f.happened(t, "connect", "close")
}

// A hook runs as the app's user, in a unit of its own, with nothing of our
// environment that could be a credential.
func TestUnitRunHook(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("HOME", "/root")
	t.Setenv("LANG", "C.UTF-8")
	failed := &systemd.JobError{Unit: "koboshi-web-hook.service", Result: "failed"}
	f := &fakeSystemd{as: systemd.Credentials{User: "web", Groups: []string{"adm"}}, run: func(tr systemd.Transient) error {
		_, err := tr.Output.WriteString("migrating\n\x1b[31mno such column\x1b[0m\n")
		return errors.Join(failed, err)
	}}
	var printed []string
	s := f.service(configured(t, unit+"hooks.timeout = \"7s\"\n"), func(h Hook, line string) { printed = append(printed, h.Name+": "+line) })
	err := s.RunHook(t.Context(), Hook{Name: "pre_start", Version: "2", Dir: "/opt/web/tree", Args: []string{"bin/migrate", "-v"}, Env: []string{"KOBOSHI_APP=web"}})
	if !errors.Is(err, failed) || !strings.HasSuffix(err.Error(), ": no such column") {
		t.Errorf("RunHook = %v", err)
	}
	if want := []string{"pre_start: migrating", "pre_start: no such column"}; !slices.Equal(printed, want) {
		t.Errorf("printed %q, want %q", printed, want)
	}
	f.happened(t, "connect", "refresh web.service", "credentials web.service", "inherit web.service", "close") // the user may have been written just now
	m := f.made
	if m.Unit != "koboshi-web-hook.service" || m.Description != "pre_start of web 2" || m.As.User != "web" || m.Quiet || m.Dir != "/opt/web/tree" ||
		!slices.Equal(m.Args, []string{"/opt/web/tree/bin/migrate", "-v"}) || m.Timeout != 7*time.Second {
		t.Errorf("ran %+v", m)
	}
	if !slices.Contains(m.Env, "LANG=C.UTF-8") || !slices.Contains(m.Env, "KOBOSHI_APP=web") ||
		slices.ContainsFunc(m.Env, func(v string) bool { return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "HOME=") }) {
		t.Errorf("environment %q", m.Env)
	}
}

// The release's own health command runs inside the tree and stays out of the
// journal.
func TestUnitHealthCommand(t *testing.T) {
	f := &fakeSystemd{run: func(tr systemd.Transient) error {
		_, err := tr.Output.WriteString("queue is full\n")
		return errors.Join(errors.New("exit status 1"), err)
	}}
	cfg := configured(t, unit)
	err := f.service(cfg, nil).Probe(t.Context(), artifacts.Health{Command: []string{"bin/check"}})
	if err == nil || !strings.HasSuffix(err.Error(), "exit status 1: queue is full") {
		t.Errorf("Probe = %v", err)
	}
	if m := f.made; !m.Quiet || m.Args[0] != filepath.Join(cfg.Install.Root, "current/bin/check") || m.Description != "health of web" {
		t.Errorf("ran %+v", m)
	}
	if err := f.service(cfg, nil).Probe(t.Context(), noOverride); err != nil {
		t.Errorf("the configuration's own probe: %v", err)
	}
}

// The configuration's own health command is not root's either: it may be in the
// release, as may what an interpreter is to run.
func TestUnitHealthCommandOfTheConfiguration(t *testing.T) {
	t.Setenv("PATH", "/bin")
	for name, tt := range map[string]struct {
		command []string
		program func(tree string) string
	}{
		"in the release": {[]string{"bin/check", "-v"}, func(tree string) string { return filepath.Join(tree, "bin/check") }},
		"in PATH":        {[]string{"sh", "-v"}, func(string) string { return "/bin/sh" }},
		"anywhere":       {[]string{"/usr/lib/check", "-v"}, func(string) string { return "/usr/lib/check" }},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSystemd{as: systemd.Credentials{User: "web"}, run: func(systemd.Transient) error { return nil }}
			cfg := configured(t, unit)
			cfg.Health.TCP, cfg.Health.Command = "", tt.command
			if err := f.service(cfg, nil).Probe(t.Context(), noOverride); err != nil {
				t.Fatal(err)
			}
			tree := filepath.Join(cfg.Install.Root, "current")
			if m := f.made; m.As.User != "web" || !m.Quiet || m.Dir != tree || !slices.Equal(m.Args, []string{tt.program(tree), "-v"}) {
				t.Errorf("ran %+v", m)
			}
		})
	}
	cfg := configured(t, unit)
	cfg.Health.TCP, cfg.Health.Command = "", []string{"no-such-program"}
	if err := (&fakeSystemd{}).service(cfg, nil).Probe(t.Context(), noOverride); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// Where systemd does not answer the app was not asked, so it is not unhealthy.
func TestUnitHealthCommandIsNotAsked(t *testing.T) {
	f := &fakeSystemd{run: func(systemd.Transient) error { return systemd.ErrDisconnected }}
	err := f.service(configured(t, unit), nil).Probe(t.Context(), artifacts.Health{Command: []string{"bin/check"}})
	if !errors.Is(err, health.ErrUnknown) || errors.Is(err, health.ErrUnhealthy) {
		t.Errorf("Probe = %v, want ErrUnknown alone", err)
	}
}

func TestUnitUser(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		as             systemd.Credentials
		want, asked    string
		err            error
	}{
		{"the unit's", "", systemd.Credentials{User: "daemon"}, "daemon", "credentials web.service", nil},
		{"root", "", systemd.Credentials{}, "root", "credentials web.service", nil},
		{"one that comes and goes", "", systemd.Credentials{User: "web-dynamic", Dynamic: true}, "web-dynamic", "credentials web.service", nil},
		{"hooks.user", "hooks.user = \"nobody\"\n", systemd.Credentials{User: "daemon"}, "nobody", "", nil},
		{"not linked yet", "service.unit_file = \"web.service\"\n", systemd.Credentials{}, "", "", ErrNoUser},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeSystemd{as: tt.as, run: func(systemd.Transient) error { return nil }}
			s := f.service(configured(t, unit+tt.settings), nil)
			got, err := s.HookUser(t.Context())
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("HookUser = %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
			if tt.asked == "" {
				f.happened(t, "connect", "close")
			} else {
				f.happened(t, "connect", tt.asked, "close")
			}
			if err := s.RunHook(t.Context(), Hook{Dir: "/", Args: []string{"x"}}); !errors.Is(err, tt.err) {
				t.Errorf("RunHook = %v, want %v", err, tt.err)
			}
			if tt.err == nil && f.made.As.User != strings.TrimSuffix(tt.want, "root") {
				t.Errorf("it ran as %+v", f.made.As)
			}
		})
	}
}

// The report reaches the command, which runs as hooks do.
func TestUnitNotify(t *testing.T) {
	var got []byte
	f := &fakeSystemd{as: systemd.Credentials{User: "web"}, run: func(tr systemd.Transient) (err error) {
		got, err = io.ReadAll(tr.Input)
		_, e := tr.Output.WriteString("posted\n")
		return errors.Join(err, e)
	}}
	var lines []string
	s := f.service(configured(t, unit+"notify.command = [\"/bin/post\", \"-v\"]\nnotify.timeout = \"7s\"\n"), func(h Hook, line string) { lines = append(lines, h.Name+": "+line) })
	report := strings.Repeat("x", 1<<20) // more than a pipe holds
	if err := s.Notify(t.Context(), []byte(report)); err != nil || string(got) != report {
		t.Errorf("Notify = %v, the command read %d bytes", err, len(got))
	}
	m := f.made
	if m.As.User != "web" || m.Timeout != 7*time.Second || m.Dir != "/" || !slices.Equal(m.Args, []string{"/bin/post", "-v"}) || !strings.HasPrefix(m.Unit, "koboshi-web-notify-") {
		t.Errorf("ran %+v", m)
	}
	if !slices.Equal(lines, []string{"notify: posted"}) {
		t.Errorf("printed %q", lines)
	}
}

// A command that reads nothing ends all the same.
func TestUnitNotifyUnread(t *testing.T) {
	f := &fakeSystemd{run: func(systemd.Transient) error { return nil }}
	s := f.service(configured(t, unit+"notify.command = [\"/bin/post\"]\n"), nil)
	if err := s.Notify(t.Context(), make([]byte, 1<<20)); err != nil {
		t.Errorf("Notify = %v", err)
	}
}

// The limits of an app are those of all of its units; one that comes with the release
// may not be there yet, any other one has to be.
func TestUnitLimits(t *testing.T) {
	const two = "service.units = [\"web.service\", \"worker.service\"]\n"
	f := &fakeSystemd{lifetimes: map[string]systemd.Lifetime{
		"web.service":    {StopTimeout: 90 * time.Second, Restart: "always", RestartAfter: 100 * time.Millisecond},
		"worker.service": {StopTimeout: 5 * time.Second, Restart: "no"},
	}}
	stop, restart, err := f.service(configured(t, two), nil).Limits(t.Context())
	if stop != 95*time.Second || restart != 100*time.Millisecond || err != nil {
		t.Errorf("%s, %s, %v", stop, restart, err)
	}
	f.happened(t, "connect", "refresh web.service", "refresh worker.service", "lifetime web.service", "lifetime worker.service", "close")

	f.lifetimes["worker.service"] = systemd.Lifetime{StopTimeout: systemd.Endless}
	if stop, _, _ := f.service(configured(t, two), nil).Limits(t.Context()); stop != systemd.Endless {
		t.Errorf("a unit without a limit: %s", stop)
	}

	f.fails = map[string]error{"lifetime web.service": systemd.ErrNoUnit}
	if _, _, err := f.service(configured(t, unit), nil).Limits(t.Context()); !errors.Is(err, systemd.ErrNoUnit) {
		t.Errorf("a unit that is not there: %v", err)
	}
	if stop, restart, err := f.service(configured(t, unit+"service.unit_file = \"etc/web.service\"\n"), nil).Limits(t.Context()); stop != 0 || restart != systemd.Endless || err != nil {
		t.Errorf("a unit that comes with the release: %s, %s, %v", stop, restart, err)
	}
}

// What is not there does not run.
func TestUnitStopsWhatIsThere(t *testing.T) {
	f := &fakeSystemd{fails: map[string]error{"stop web.service": systemd.ErrNoUnit}}
	if err := f.service(configured(t, unit), nil).Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
