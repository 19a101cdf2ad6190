package systemd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

const hookUnit = "koboshi-web-hook.service"

// hook is the hook's command, and what is written to its output when all of it
// has ended.
func hook(t *testing.T) (c Transient, written func() string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "output")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	c = Transient{
		Unit: hookUnit, Description: "pre_start of web 2", Args: []string{"/opt/web/bin/migrate", "$HOME", "100%n"}, Dir: "/opt/web",
		Env: []string{"A=1"}, As: Credentials{User: "web", Group: "www", Groups: []string{"adm"}}, Timeout: time.Minute, Output: file,
	}
	return c, func() string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(data)
	}
}

// At a shutdown no unit starts that conflicts with it, or needs a mount that it stops.
func TestTransientAtShutdown(t *testing.T) {
	for _, late := range []bool{false, true} {
		f := transient(t, "done", "")
		made := f.remember()
		c, _ := hook(t)
		c.AtShutdown = late
		if err := f.startWithFDs(t).RunTransient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		properties := made()
		byDefault, set := properties["DefaultDependencies"]
		_, private := properties["PrivateTmp"]
		_, own := properties["TemporaryFileSystem"]
		if set != late || set && byDefault != false || private == late || own != late {
			t.Errorf("at shutdown: %t: %v", late, properties)
		}
	}
}

// remember returns the properties of the transient unit that was made last, safe to
// read while the fake goes on.
func (f *fakeSystemd) remember() (made func() map[string]any) {
	var last map[string]any
	was := f.made
	f.made = func(p map[string]any) *fakeUnit { last = p; return was(p) } // which has the lock
	return func() map[string]any {
		f.mu.Lock()
		defer f.mu.Unlock()
		return last
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

func TestRunTransient(t *testing.T) {
	f := transient(t, "done", "one\ntwo")
	var properties map[string]any
	made := f.made
	f.made = func(p map[string]any) *fakeUnit { properties = p; return made(p) }
	c, written := hook(t)
	if err := f.startWithFDs(t).RunTransient(t.Context(), c); err != nil || written() != "one\ntwo" {
		t.Errorf("RunTransient = %v, output %q", err, written())
	}
	if f.left() != "" {
		t.Errorf("left behind: %q", f.left())
	}
	if _, has := properties["StandardInputFileDescriptor"]; has {
		t.Error("a command without input has one")
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

// A command that is bound ends with this process however that ends: it is bound
// to a unit that reads a pipe of ours.
func TestRunTransientIsBound(t *testing.T) {
	f := transient(t, "done", "")
	var owner string
	var stdin *os.File
	var bound map[string]any
	f.beside = func(name string, p map[string]any) {
		fd, _ := p["StandardInputFileDescriptor"].(dbus.UnixFD)
		owner, stdin = name, os.NewFile(uintptr(fd), "stdin")
		if want := [][]any{{"/bin/cat", []string{"/bin/cat"}, []string{"no-env-expand"}}}; !reflect.DeepEqual(p["ExecStartEx"], want) || p["User"] != "web" {
			t.Errorf("the owner is %v", p)
		}
	}
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		bound = p
		if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(stdin.Fd()), Events: unix.POLLIN}}, 0); ready != 0 || err != nil {
			t.Errorf("the owner's input has ended while the command runs (%v)", err)
		}
		return made(p)
	}
	c, _ := hook(t)
	c.Bound = true
	if err := f.startWithFDs(t).RunTransient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if f.left() != "" {
		t.Errorf("left behind: %q", f.left())
	}
	defer func() { _ = stdin.Close() }()
	if want := []string{owner}; !strings.HasPrefix(owner, "koboshi-web-hook-owner-") || !reflect.DeepEqual(bound["BindsTo"], want) || !reflect.DeepEqual(bound["After"], want) {
		t.Errorf("bound to %v after %v, the owner is %s", bound["BindsTo"], bound["After"], owner)
	}
	if n, err := stdin.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the owner reads %d bytes (%v), want the end", n, err)
	}
}

// A program may not expect a pipe that does not block.
func TestRunTransientGivesAPipeThatBlocks(t *testing.T) {
	f := transient(t, "done", "")
	var flags atomic.Int64
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		n, err := unix.FcntlInt(uintptr(p["StandardErrorFileDescriptor"].(dbus.UnixFD)), unix.F_GETFL, 0)
		if err != nil {
			n = -1
		}
		flags.Store(int64(n))
		return made(p)
	}
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(from.Close(), to.Close()) }()
	c, _ := hook(t)
	c.Output = to
	if err := f.startWithFDs(t).RunTransient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if n := flags.Load(); n <= 0 || n&unix.O_NONBLOCK != 0 {
		t.Errorf("flags of standard error: %#x", n)
	}
}

func TestRunTransientThatFails(t *testing.T) {
	f := transient(t, "failed", "no such column\n")
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		u := made(p)
		u.service["Result"], u.service["ExecMainStatus"] = "exit-code", int32(3)
		return u
	}
	c, written := hook(t)
	err := f.startWithFDs(t).RunTransient(t.Context(), c)
	failure, ok := errors.AsType[*JobError](err)
	if want := (JobError{Unit: hookUnit, Result: "failed", Cause: "exit-code", Status: 3}); !ok || *failure != want {
		t.Errorf("RunTransient = %v, want %+v", err, want)
	}
	if written() != "no such column\n" || f.left() != "" {
		t.Errorf("output %q, left behind %q", written(), f.left())
	}
}

// When the context ends the unit is stopped, and the error is the cause.
func TestRunTransientIsInterrupted(t *testing.T) {
	f := transient(t, "", "begun\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("SIGTERM")
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		u := made(p)
		begin := u.started
		u.started = func() { begin(); cancel(why) }
		return u
	}
	c, written := hook(t)
	if err := f.startWithFDs(t).RunTransient(ctx, c); !errors.Is(err, why) || written() != "begun\n" {
		t.Errorf("RunTransient = %v, want %v; output %q", err, why, written())
	}
	if f.left() != "" || f.called() != "start "+hookUnit+" fail, stop "+hookUnit+" replace" {
		t.Errorf("left behind %q after %s", f.left(), f.called())
	}
}

// An interruption may come at any moment. Before the unit is asked for, it does
// not start at all; after that it does not outlive the call.
func TestRunTransientIsInterruptedAtAnyMoment(t *testing.T) {
	f := transient(t, "", "begun\n")
	ctx, cancel := context.WithCancel(t.Context())
	made := f.made
	f.made = func(p map[string]any) *fakeUnit {
		cancel() // before the answer is sent
		return made(p)
	}
	m := f.startWithFDs(t)
	c, _ := hook(t)
	for range 2 {
		if err := m.RunTransient(ctx, c); !errors.Is(err, context.Canceled) || f.left() != "" {
			t.Errorf("RunTransient = %v, left behind %q", err, f.left())
		}
	}
	if n := strings.Count(f.called(), "start "); n != 1 {
		t.Errorf("%d starts, want 1: %s", n, f.called())
	}
}

// Discard stops what a process that was killed has left running, and works
// after the context has ended.
func TestDiscard(t *testing.T) {
	f := &fakeSystemd{units: map[string]*fakeUnit{hookUnit: {fleeting: true}}}
	m := f.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 { // the second finds no unit
		if err := m.Discard(ctx, hookUnit); err != nil || f.left() != "" {
			t.Errorf("Discard = %v, left behind %q", err, f.left())
		}
	}
	failed := newUnit("failed")
	failed.fleeting = true
	f.mu.Lock()
	f.units[hookUnit] = failed
	f.mu.Unlock()
	if err := m.Discard(t.Context(), hookUnit); err != nil || f.left() != "" {
		t.Errorf("Discard of a failed unit = %v, left behind %q", err, f.left())
	}
}
