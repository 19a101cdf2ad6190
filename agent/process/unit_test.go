package process

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/systemd"
)

// fakeManager records what is asked of systemd.
type fakeManager struct {
	calls []string
	asked systemd.Transient
	run   func(ctx context.Context, t systemd.Transient) error
}

func (m *fakeManager) Discard(_ context.Context, unit string) error {
	m.calls = append(m.calls, "discard "+unit)
	return nil
}

func (m *fakeManager) RunTransient(ctx context.Context, t systemd.Transient) error {
	m.calls = append(m.calls, "run "+t.Unit)
	m.asked = t
	return m.run(ctx, t)
}

var hook = Unit{Name: "koboshi-web-hook.service", Description: "pre_start of web 2", As: systemd.Credentials{User: "web"}, Quiet: true}

// What an earlier process left in the unit ends first, and all of the output
// is there when Run returns.
func TestUnit(t *testing.T) {
	failed := errors.New("exit status 3")
	m := &fakeManager{run: func(_ context.Context, t systemd.Transient) error {
		_, err := t.Output.WriteString("one\ntwo")
		return errors.Join(failed, err)
	}}
	var output strings.Builder
	err := hook.Run(t.Context(), m, Command{Args: []string{"/opt/web/bin/migrate", "-v"}, Dir: "/opt/web", Env: []string{"A=1"}, Timeout: time.Minute, Output: &output})
	if !errors.Is(err, failed) || output.String() != "one\ntwo" {
		t.Errorf("Run = %v, output %q", err, output.String())
	}
	if want := []string{"discard " + hook.Name, "run " + hook.Name}; !slices.Equal(m.calls, want) {
		t.Errorf("calls %q, want %q", m.calls, want)
	}
	a := m.asked
	if !a.Bound || a.Description != hook.Description || a.As.User != "web" || !a.Quiet || !slices.Equal(a.Args, []string{"/opt/web/bin/migrate", "-v"}) ||
		a.Dir != "/opt/web" || !slices.Equal(a.Env, []string{"A=1"}) || a.Timeout != time.Minute {
		t.Errorf("asked for %+v", a)
	}
}

// What is brief and runs often brings no second unit along.
func TestUnitThatIsBrief(t *testing.T) {
	m := &fakeManager{run: func(context.Context, systemd.Transient) error { return nil }}
	brief := hook
	brief.Brief = true
	if err := brief.Run(t.Context(), m, Command{Args: []string{"/x"}}); err != nil || m.asked.Bound {
		t.Errorf("Run = %v, bound %v", err, m.asked.Bound)
	}
}

func TestUnitHasADeadline(t *testing.T) {
	m := &fakeManager{run: func(ctx context.Context, _ systemd.Transient) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	err := hook.Run(t.Context(), m, Command{Args: []string{"/x"}, Timeout: 20 * time.Millisecond})
	if err == nil || err.Error() != "not finished after 20ms" || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v", err)
	}
}

// A process that keeps the output open when the unit is gone is not waited for.
func TestUnitWhoseOutputIsHeld(t *testing.T) {
	held := -1
	m := &fakeManager{run: func(_ context.Context, t systemd.Transient) (err error) {
		if held, err = unix.Dup(int(t.Output.Fd())); err == nil {
			_, err = t.Output.WriteString("done\n")
		}
		return err
	}}
	var output strings.Builder
	err := hook.Run(t.Context(), m, Command{Args: []string{"/x"}, Output: &output})
	if err != nil || output.String() != "done\n" {
		t.Errorf("Run = %v, output %q", err, output.String())
	}
	if err := unix.Close(held); err != nil {
		t.Error(err)
	}
}

// A program without a slash is one of PATH.
func TestUnitFindsTheProgram(t *testing.T) {
	t.Setenv("PATH", "/bin")
	m := &fakeManager{run: func(context.Context, systemd.Transient) error { return nil }}
	if err := hook.Run(t.Context(), m, Command{Args: []string{"sh", "-v"}}); err != nil || !slices.Equal(m.asked.Args, []string{"/bin/sh", "-v"}) {
		t.Errorf("Run = %v, ran %q", err, m.asked.Args)
	}
	if err := hook.Run(t.Context(), m, Command{Args: []string{"no-such-program"}}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("Run = %v", err)
	}
}
