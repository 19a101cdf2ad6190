package systemd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

const hookUnit = "koboshi-web-hook.service"

func hookCommand(output *bytes.Buffer) Command {
	return Command{
		Unit: hookUnit, Description: "pre_start of web 2", Args: []string{"/opt/web/bin/migrate", "$HOME", "100%n"}, Dir: "/opt/web",
		Env: []string{"A=1"}, As: Credentials{User: "web", Group: "www", Groups: []string{"adm"}}, Timeout: time.Minute, Output: output,
	}
}

// transient has a command's unit end with result, after it has written its
// output and closed it.
func transient(t *testing.T, result, output string) *fakeSystemd {
	f := &fakeSystemd{units: map[string]*fakeUnit{}}
	f.made = func(properties map[string]any) *fakeUnit {
		u := newUnit(result)
		u.fleeting = true
		u.started = func() {
			for _, name := range []string{"StandardErrorFileDescriptor", "StandardOutputFileDescriptor"} {
				fd, ok := properties[name].(dbus.UnixFD)
				if !ok {
					t.Errorf("%s is %v", name, properties[name])
					return
				}
				w := os.NewFile(uintptr(fd), name)
				if _, err := w.WriteString(output); err != nil {
					t.Error(err)
				}
				_ = w.Close()
				output = ""
			}
		}
		return u
	}
	return f
}

func TestRun(t *testing.T) {
	f := transient(t, "done", "one\ntwo")
	var properties map[string]any
	made := f.made
	f.made = func(p map[string]any) *fakeUnit { properties = p; return made(p) }
	var output bytes.Buffer
	if err := f.startWithFDs(t).Run(t.Context(), hookCommand(&output)); err != nil || output.String() != "one\ntwo" {
		t.Errorf("Run = %v, output %q", err, &output)
	}
	if len(f.units) != 0 {
		t.Errorf("left behind: %v", f.units)
	}
	for name, want := range map[string]any{
		"Description": "pre_start of web 2", "Type": "oneshot", "WorkingDirectory": "/opt/web", "Environment": []string{"A=1"},
		"User": "web", "Group": "www", "SupplementaryGroups": []string{"adm"}, "DynamicUser": false, "KillMode": "control-group", "LogLevelMax": int32(7),
		"TimeoutStartUSec": uint64(75_000_000), "TimeoutStopUSec": uint64(5_000_000),
		"NoNewPrivileges": true, "PrivateTmp": true, "ProtectSystem": "full",
		"ExecStartEx": [][]any{{"/opt/web/bin/migrate", []string{"/opt/web/bin/migrate", "$HOME", "100%n"}, []string{"no-env-expand"}}},
	} {
		if !reflect.DeepEqual(properties[name], want) {
			t.Errorf("%s is %v, want %v", name, properties[name], want)
		}
	}
}

// What writes to a pipe that does not block must not have to know of it.
func TestRunGivesAPipeThatBlocks(t *testing.T) {
	f := transient(t, "done", "")
	flags := -1
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		flags, _ = unix.FcntlInt(uintptr(p["StandardErrorFileDescriptor"].(dbus.UnixFD)), unix.F_GETFL, 0)
		return made(p)
	}
	if err := f.startWithFDs(t).Run(t.Context(), hookCommand(new(bytes.Buffer))); err != nil {
		t.Fatal(err)
	}
	if flags < 0 || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags of standard error: %#x", flags)
	}
}

func TestRunThatFails(t *testing.T) {
	f := transient(t, "failed", "no such column\n")
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		u := made(p)
		u.service["Result"], u.service["ExecMainStatus"] = "exit-code", int32(3)
		return u
	}
	var output bytes.Buffer
	err := f.startWithFDs(t).Run(t.Context(), hookCommand(&output))
	failure, ok := errors.AsType[*JobError](err)
	if want := (JobError{hookUnit, "failed", "exit-code", 3}); !ok || *failure != want {
		t.Errorf("Run = %v, want %+v", err, want)
	}
	if output.String() != "no such column\n" || len(f.units) != 0 {
		t.Errorf("output %q, left behind %v", &output, f.units)
	}
}

// However the wait ends, the unit is stopped, and its output let go of.
func TestRunThatDoesNotEnd(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		c := hookCommand(new(bytes.Buffer))
		c.Timeout = 20 * time.Millisecond
		err := endless(t).Run(t.Context(), c)
		if err == nil || err.Error() != "no end within 20ms" || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run = %v", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("SIGTERM")
		time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
		if err := endless(t).Run(ctx, hookCommand(new(bytes.Buffer))); !errors.Is(err, why) {
			t.Errorf("Run = %v, want %v", err, why)
		}
	})
}

// An interruption may come at any moment: before the unit is asked for, it does
// not start at all, and after that it does not outlive the call.
func TestRunIsInterruptedAtAnyMoment(t *testing.T) {
	f := transient(t, "", "begun\n")
	ctx, cancel := context.WithCancel(t.Context())
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		cancel() // before the answer is on its way
		return made(p)
	}
	m := f.startWithFDs(t)
	for range 2 {
		if err := m.Run(ctx, hookCommand(new(bytes.Buffer))); !errors.Is(err, context.Canceled) || len(f.units) != 0 {
			t.Errorf("Run = %v, left behind %v", err, f.units)
		}
	}
	if n := strings.Count(f.called(), "start "); n != 1 {
		t.Errorf("%d starts, want 1: %s", n, f.called())
	}
}

func endless(t *testing.T) *Manager {
	f := transient(t, "", "begun\n")
	t.Cleanup(func() {
		if len(f.units) != 0 || !strings.HasSuffix(f.called(), "start "+hookUnit+" fail, stop "+hookUnit+" replace") {
			t.Errorf("left behind %v after %s", f.units, f.called())
		}
	})
	return f.startWithFDs(t)
}

// What a process that was killed has left running ends before anything else.
func TestRunAfterOneThatWasKilled(t *testing.T) {
	f := transient(t, "done", "")
	f.units[hookUnit] = &fakeUnit{fleeting: true}
	if err := f.startWithFDs(t).Run(t.Context(), hookCommand(new(bytes.Buffer))); err != nil {
		t.Error(err)
	}
	stop, start := "stop "+hookUnit+" replace, ", "start "+hookUnit+" fail, "
	if want := strings.TrimSuffix(stop+start+stop, ", "); f.called() != want {
		t.Errorf("calls: %s; want %s", f.called(), want)
	}
}

// Whoever holds a command's output when its unit is gone is not waited for.
func TestRunWhoseOutputIsHeld(t *testing.T) {
	f := transient(t, "done", "told\n")
	made, held := f.made, -1
	f.made = func(p map[string]any) *fakeUnit {
		held, _ = unix.Dup(int(p["StandardOutputFileDescriptor"].(dbus.UnixFD)))
		return made(p)
	}
	var output bytes.Buffer
	err := f.startWithFDs(t).Run(t.Context(), hookCommand(&output))
	if err != nil || output.String() != "told\n" || held < 0 {
		t.Errorf("Run = %v, output %q", err, &output)
	}
	if err := unix.Close(held); err != nil {
		t.Error(err)
	}
}

func TestCredentials(t *testing.T) {
	f := one("done")
	for name, value := range map[string]any{"User": "web", "Group": "www", "SupplementaryGroups": []string{"adm"}, "DynamicUser": true} {
		f.units["web.service"].service[name] = value
	}
	m := f.start(t)
	got, err := m.Credentials(t.Context(), "web.service")
	if want := (Credentials{"web", "www", []string{"adm"}, true}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Credentials = %+v, %v; want %+v", got, err, want)
	}
	if _, err := m.Credentials(t.Context(), "none.service"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("Credentials of no unit = %v", err)
	}
	f.units["web.service"].service["User"] = uint32(0)
	if _, err := m.Credentials(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "User") {
		t.Errorf("Credentials of a wrong type = %v", err)
	}
	for _, state := range []string{"error", "bad-setting", "masked"} { // whose user is not to be taken for root
		f.units["web.service"].service["User"] = ""
		f.set("web.service", "LoadState", state)
		if c, err := m.Credentials(t.Context(), "web.service"); err == nil || !strings.Contains(err.Error(), "is not loaded: \""+state) {
			t.Errorf("Credentials of a unit that is %s = %+v, %v", state, c, err)
		}
	}
}
