package systemd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const invocationID = "ab0102030405060708090a0b0c0d0e0f"

func one(result string, after ...string) *fakeSystemd {
	return &fakeSystemd{units: map[string]*fakeUnit{"web.service": newUnit(result, after...)}}
}

func TestState(t *testing.T) {
	f := one("done")
	f.set("web.service", "NRestarts", uint32(3))
	f.set("web.service", "Id", "web.service")
	f.set("web.service", "CanReload", true)
	f.units["app.target"] = newUnit("done")
	m := f.start(t)

	got, err := m.State(t.Context(), "web.service")
	want := State{Active: "active", Sub: "running", Invocation: invocationID, Restarts: 3, MainPID: 4711, Enabled: "disabled", Loaded: "loaded", Name: "web.service", Type: "exec", Reloads: true}
	if err != nil || got != want {
		t.Errorf("State(web.service) = %+v, %v; want %+v", got, err, want)
	}
	got, err = m.State(t.Context(), "app.target")
	want = State{Active: "active", Sub: "running", Invocation: invocationID, Enabled: "disabled", Loaded: "loaded"}
	if err != nil || got != want {
		t.Errorf("State(app.target) = %+v, %v; want %+v", got, err, want)
	}
	if _, err = m.State(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("State(none.service) = %v, want ErrNoUnit", err)
	}
}

func TestStateOfWrongType(t *testing.T) {
	f := one("done")
	f.set("web.service", "NRestarts", "three")
	if _, err := f.start(t).State(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "NRestarts") {
		t.Errorf("State = %v, want an error that names NRestarts", err)
	}
}

func TestRestart(t *testing.T) {
	f := one("done")
	// The invocation to report is the one the job began, not the one before.
	f.units["web.service"].started = func() {
		f.units["web.service"].props["InvocationID"] = make([]byte, 16)
	}
	got, err := f.start(t).Restart(t.Context(), "web.service")
	if err != nil || got.ID != strings.Repeat("0", 32) || got.Unit != "web.service" {
		t.Errorf("Restart = %+v, %v", got, err)
	}
	if want := "reset web.service, restart web.service replace"; f.called() != want {
		t.Errorf("calls: %s; want %s", f.called(), want)
	}
}

// A unit that runs stays as it is.
func TestStart(t *testing.T) {
	f := one("done")
	got, err := f.start(t).Start(t.Context(), "web.service")
	if err != nil || got.ID != invocationID {
		t.Errorf("Start = %+v, %v", got, err)
	}
	if want := "reset web.service, start web.service replace"; f.called() != want {
		t.Errorf("calls: %s; want %s", f.called(), want)
	}
}

// A unit that has ended at once, and that systemd starts again, has begun.
func TestRestartOfWhatIsRestarted(t *testing.T) {
	for active, began := range map[string]bool{"activating": true, "active": true, "failed": false, "inactive": false} {
		f := one("failed")
		f.units["web.service"].started = func() { f.units["web.service"].props["ActiveState"] = active }
		run, err := f.start(t).Restart(t.Context(), "web.service")
		if began != (err == nil) || began != (run != nil) {
			t.Errorf("a unit that is %s: %v, %v", active, run, err)
		}
	}
}

func TestReloadUnit(t *testing.T) {
	f := one("done")
	m := f.start(t)
	if err := m.ReloadUnit(t.Context(), "web.service"); err != nil || f.called() != "reload web.service replace" {
		t.Errorf("ReloadUnit = %v, calls %s", err, f.called())
	}
	f.units["web.service"].result = "failed"
	f.set("web.service", "ReloadResult", "exit-code")
	err := m.ReloadUnit(t.Context(), "web.service")
	if failed, ok := errors.AsType[*JobError](err); !ok || !failed.Reload || err.Error() != "reload of web.service: failed (exit-code)" {
		t.Errorf("ReloadUnit = %v", err)
	}
	if err := m.ReloadUnit(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("ReloadUnit = %v, want ErrNoUnit", err)
	}
}

func TestRestartLoadsTheUnit(t *testing.T) {
	f := one("done")
	f.units["web.service"].dormant = true
	if _, err := f.start(t).Restart(t.Context(), "web.service"); err != nil {
		t.Error(err)
	}
}

func TestRestartFails(t *testing.T) {
	for _, result := range []string{"failed", "timeout", "dependency", "canceled"} {
		t.Run(result, func(t *testing.T) {
			f := one(result)
			f.set("web.service", "ActiveState", "failed")
			f.set("web.service", "Result", "exit-code")
			f.set("web.service", "ExecMainStatus", int32(203))
			_, err := f.start(t).Restart(t.Context(), "web.service")
			failure, ok := errors.AsType[*JobError](err)
			if want := (JobError{Unit: "web.service", Result: result, Cause: "exit-code", Status: 203}); !ok || *failure != want {
				t.Fatalf("Restart = %v, want %+v", err, want)
			}
			if want := "job for web.service: " + result + " (exit-code, status 203/EXEC)"; err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

func TestMissingUnit(t *testing.T) {
	m := one("done").start(t)
	if _, err := m.Restart(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("Restart = %v, want ErrNoUnit", err)
	}
	if err := m.Stop(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("Stop = %v, want ErrNoUnit", err)
	}
}

func TestStopAndReload(t *testing.T) {
	f := one("done")
	m := f.start(t)
	if err := errors.Join(m.Stop(t.Context(), "web.service"), m.Reload(t.Context())); err != nil {
		t.Error(err)
	}
	if want := "stop web.service replace, reload"; f.called() != want {
		t.Errorf("calls: %s; want %s", f.called(), want)
	}
}

func TestJobThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := one("").start(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := m.Restart(ctx, "web.service")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("Restart = %v after %v, want the deadline after 1m", err, time.Since(began))
		}
	})
}

// The report of a job that is no longer waited for must not delay others.
func TestJobEndsAfterItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := one("")
		f.units["db.service"] = newUnit("done")
		m := f.start(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Restart(ctx, "web.service"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		f.mu.Lock()
		f.emitRemoved(managerPath+"/job/2", "web.service", "done")
		f.mu.Unlock()
		if _, err := m.Restart(t.Context(), "db.service"); err != nil {
			t.Error(err)
		}
	})
}

// A context that ends after Connect must not take the connection with it, and
// one that ended before must not leave any.
func TestConnectContext(t *testing.T) {
	f := one("done")
	dial := func(ctx context.Context) (*sdbus.Conn, error) {
		return sdbus.NewConnection(func() (*dbus.Conn, error) { return f.dial(ctx) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	m, err := connect(ctx, dial)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cancel()
	if _, err := m.State(t.Context(), "web.service"); err != nil {
		t.Errorf("State after the context of Connect ended: %v", err)
	}
	if _, err := connect(ctx, dial); !errors.Is(err, context.Canceled) {
		t.Errorf("connect with an ended context: %v, want context.Canceled", err)
	}
}

func TestGone(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fakeSystemd)
		want   string
	}{
		{"running", func(*fakeSystemd) {}, ""},
		{"reloading", func(f *fakeSystemd) { f.set("web.service", "ActiveState", "reloading") }, ""},
		{"failed", func(f *fakeSystemd) { f.set("web.service", "ActiveState", "failed") }, "web.service is failed (running)"},
		{"waiting to be restarted", func(f *fakeSystemd) {
			f.set("web.service", "ActiveState", "activating")
			f.set("web.service", "SubState", "auto-restart")
		}, "web.service is activating (auto-restart)"},
		{"crashed and came back", func(f *fakeSystemd) { f.set("web.service", "NRestarts", uint32(1)) },
			"web.service ended and was restarted by systemd (NRestarts 1, was 0)"},
		{"restarted by hand", func(f *fakeSystemd) { f.set("web.service", "InvocationID", make([]byte, 16)) },
			"web.service was started anew (invocation " + strings.Repeat("0", 32) + ", was " + invocationID + ")"},
		{"deleted", func(f *fakeSystemd) { f.set("web.service", "LoadState", "not-found") }, "web.service does not exist any more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := one("done")
			m := f.start(t)
			invocation, err := m.Restart(t.Context(), "web.service")
			if err != nil {
				t.Fatal(err)
			}
			test.change(f)
			if got, err := invocation.Gone(t.Context()); got != test.want || err != nil {
				t.Errorf("Gone = %q, %v; want %q", got, err, test.want)
			}
			f.hangUp()
			if got, err := invocation.Gone(t.Context()); got != test.want || err != nil {
				t.Errorf("Gone over a new connection = %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// What systemd starts again by itself is only red: what takes its place is looked at
// from then on.
func TestGoneForGood(t *testing.T) {
	sub := func(active, sub string) func(*fakeSystemd) {
		return func(f *fakeSystemd) {
			f.set("web.service", "ActiveState", active)
			f.set("web.service", "SubState", sub)
		}
	}
	again := func(f *fakeSystemd) {
		f.set("web.service", "NRestarts", uint32(1))
		f.set("web.service", "InvocationID", make([]byte, 16))
	}
	for _, tt := range []struct {
		name   string
		change func(*fakeSystemd)
		why    string
		red    string
		later  string // red at the next look
	}{
		{"running", func(*fakeSystemd) {}, "", "", ""},
		{"reloading", sub("reloading", "reload"), "", "", ""},
		{"failed", sub("failed", "failed"), "web.service is failed (failed)", "", ""},
		{"ended", sub("inactive", "dead"), "web.service is inactive (dead)", "", ""},
		{"waiting to be restarted", func(f *fakeSystemd) {
			sub("activating", "auto-restart")(f)
			f.set("web.service", "Result", "exit-code")
			f.set("web.service", "ExecMainStatus", int32(3))
		}, "", "web.service has ended (exit-code, status 3); systemd restarts it (auto-restart)", "web.service has ended (exit-code, status 3); systemd restarts it (auto-restart)"},
		{"ending", sub("deactivating", "stop-post"), "", "web.service has ended; systemd restarts it (stop-post)", "web.service has ended; systemd restarts it (stop-post)"},
		{"crashed and came back", again, "", "web.service has ended; systemd restarts it (NRestarts 1)", ""},
		{"restarted by hand", func(f *fakeSystemd) { f.set("web.service", "InvocationID", make([]byte, 16)) }, "web.service was started anew", "", ""},
		{"deleted", func(f *fakeSystemd) { f.set("web.service", "LoadState", "not-found") }, "web.service does not exist any more", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := one("done")
			m := f.start(t)
			run, err := m.Current(t.Context(), "web.service")
			if err != nil {
				t.Fatal(err)
			}
			tt.change(f)
			why, err := run.GoneForGood(t.Context())
			if !strings.HasPrefix(why, tt.why) || tt.why == "" && why != "" || !isRed(err, tt.red) {
				t.Errorf("GoneForGood = %q, %v; want %q, %q", why, err, tt.why, tt.red)
			}
			if why, err := run.GoneForGood(t.Context()); tt.why == "" && (why != "" || !isRed(err, tt.later)) {
				t.Errorf("then %q, %v; want %q", why, err, tt.later)
			}
		})
	}
}

func isRed(err error, want string) bool {
	if want == "" {
		return err == nil
	}
	return errors.Is(err, ErrRestarting) && err.Error() == want
}

// A service that ends by itself may do so, and be started anew.
func TestFailed(t *testing.T) {
	f := one("done")
	m := f.start(t)
	run, err := m.Current(t.Context(), "web.service")
	if err != nil {
		t.Fatal(err)
	}
	f.set("web.service", "InvocationID", make([]byte, 16))
	for active, want := range map[string]string{"inactive": "", "activating": "", "active": "", "failed": "web.service is failed (running)"} {
		f.set("web.service", "ActiveState", active)
		if why, err := run.Failed(t.Context()); why != want || err != nil {
			t.Errorf("%s: Failed = %q, %v", active, why, err)
		}
	}
	f.set("web.service", "ActiveState", "activating")
	f.set("web.service", "SubState", "auto-restart")
	if why, err := run.Failed(t.Context()); why != "" || !isRed(err, "web.service has ended; systemd restarts it (auto-restart)") {
		t.Errorf("Failed = %q, %v", why, err)
	}
	f.set("web.service", "LoadState", "not-found")
	if why, err := run.Failed(t.Context()); why == "" || err != nil {
		t.Errorf("Failed = %q, %v", why, err)
	}
}

// How a unit has ended is known until systemd starts it again.
func TestEnded(t *testing.T) {
	f := one("done")
	m := f.start(t)
	if err := m.Ended(t.Context(), "web.service"); err != nil {
		t.Errorf("Ended of a unit that runs = %v", err)
	}
	f.set("web.service", "Result", "exit-code")
	f.set("web.service", "ExecMainStatus", int32(203))
	err := m.Ended(t.Context(), "web.service")
	if failed, ok := errors.AsType[*JobError](err); !ok || failed.Status != 203 || err.Error() != "web.service has ended (exit-code, status 203/EXEC)" {
		t.Errorf("Ended = %v", err)
	}
	if err := m.Ended(t.Context(), "app.target"); err != nil {
		t.Errorf("Ended of a target = %v", err)
	}
}

func TestDenied(t *testing.T) {
	for name, want := range map[string]bool{
		"org.freedesktop.DBus.Error.AccessDenied": true, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": true,
		"org.freedesktop.DBus.Error.NoReply": false,
	} {
		if err := unitError("start", "web.service", dbus.Error{Name: name}); Denied(err) != want {
			t.Errorf("%v: denied %v", err, !want)
		}
	}
}
