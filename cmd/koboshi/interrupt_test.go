package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/faults"
	"koboshi/agent/failure"
)

// interrupt [-SIGNAL] MOMENT WHAT COMMAND ARG… runs a command and presses Ctrl-C
// at a moment, or sends another signal; the command must exit with 130, soon, or
// with 2 at SIGABRT.
// Its output is in said.txt. Moments are:
//
//	asked PART      the loopback AWS has been asked for a path with PART in it, since calls reset
//	follows START   Auto Scaling was asked for that, and has shown what came of it, since calls reset
//	serves VERSION  the app answers that
//	opens FILE      the command has a file of that name open
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	said, err := os.Create(ts.MkAbs("said.txt"))
	ts.Check(err)
	defer func() { _ = said.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sent := unix.SIGINT
	if name, ok := strings.CutPrefix(args[0], "-"); ok {
		sent, args = unix.SignalNum("SIG"+name), args[1:]
	}
	cmd := exec.CommandContext(ctx, args[2], args[3:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = ts.Getenv("WORK"), environment(ts), said
	ts.Check(cmd.Start())
	moment(ctx, ts, args[0], args[1], cmd.Process.Pid)
	ts.Check(cmd.Process.Signal(sent))
	if sent == unix.SIGHUP {
		go repeat(ctx, cmd.Process, sent)
	}
	exit, _ := errors.AsType[*exec.ExitError](cmd.Wait())
	want := int(failure.Interrupted)
	if sent == unix.SIGABRT {
		want = 2 // as Go ends a program, with the stacks
	}
	if exit == nil || exit.ExitCode() != want {
		ts.Fatalf("%s: %v, want exit code %d\n%s", args[2:], exit, want, ts.ReadFile("said.txt"))
	}
}

// repeat sends a signal over and over, until the process has ended.
func repeat(ctx context.Context, to *os.Process, s os.Signal) {
	for ctx.Err() == nil && to.Signal(s) == nil {
		<-time.After(time.Millisecond)
	}
}

// deaf SIGNAL,… COMMAND ARG… runs a command, sends it the signals while it waits
// for the channel, lets the channel answer, and wants exit code 0. The command is
// started as nohup does, and a shell in the background: with signals ignored.
func deaf(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w, names := of(ts), strings.Split(args[0], ",")
	w.aws.Calls().Reset()
	script := "trap '' " + strings.Join(names, " ") + `; exec "$@"`
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, "sh"}, args[1:]...)...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environment(ts)
	ts.Check(cmd.Start())
	moment(ctx, ts, "asked", "/channels/", cmd.Process.Pid)
	for _, name := range names {
		ts.Check(cmd.Process.Signal(unix.SignalNum("SIG" + name)))
	}
	w.aws.Faults().Clear()
	ts.Check(cmd.Wait())
}

// unheard CODE COMMAND ARG… runs a command whose output goes into a pipe without a
// reader, and that must exit with the code; -1 is by SIGPIPE.
func unheard(ts *testscript.TestScript, _ bool, args []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	ts.Check(r.Close())
	defer func() { _ = w.Close() }()
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), environment(ts), w, w
	if _, ended := errors.AsType[*exec.ExitError](cmd.Run()); cmd.ProcessState == nil || strconv.Itoa(cmd.ProcessState.ExitCode()) != args[0] {
		ts.Fatalf("%s: %v (%v), want exit code %s", args[1:], cmd.ProcessState, ended, args[0])
	}
}

// await MOMENT WHAT waits for a moment of the world.
func await(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	moment(ctx, ts, args[0], args[1], os.Getpid())
}

// moment returns once the moment has come.
func moment(ctx context.Context, ts *testscript.TestScript, kind, what string, pid int) {
	come := map[string]func() bool{
		"asked":   func() bool { return asked(of(ts), what) },
		"follows": func() bool { return follows(of(ts), what) },
		"serves":  func() bool { got, _ := ask(of(ts).addr); return got == what },
		"opens":   func() bool { return hasOpen(pid, what) },
		"exists":  func() bool { _, err := os.Stat(ts.MkAbs(what)); return err == nil },
		"scaled":  func() bool { return of(ts).aws.Calls().Count("autoscaling", what) > 0 },
	}[kind]
	for !come() {
		select {
		case <-ctx.Done():
			ts.Fatalf("%s %s: that never came about", kind, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func asked(w *world, part string) bool {
	return len(w.aws.Calls().Filter(func(c faults.Call) bool { return strings.Contains(c.Path, part) })) > 0
}

func hasOpen(pid int, name string) bool {
	links, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && filepath.Base(target) == name {
			return true
		}
	}
	return false
}

// environment is the script's, as far as it concerns koboshi.
func environment(ts *testscript.TestScript) (env []string) {
	for _, name := range []string{"PATH", "HOME", "WORK", "GORACE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_EC2_METADATA_SERVICE_ENDPOINT"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// follows reports whether a refresh was shown after it was started.
func follows(w *world, start string) bool {
	begun := false
	for _, c := range w.aws.Calls().Filter(func(c faults.Call) bool { return c.Service == "autoscaling" && c.Status == 200 }) {
		if begun && c.Operation == "DescribeInstanceRefreshes" {
			return true
		}
		begun = begun || c.Operation == start
	}
	return false
}

// An interruption while a release is packed is no mistake in the arguments.
func TestInterruptedPacking(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	top := t.TempDir()
	if err := os.WriteFile(filepath.Join(top, "VERSION"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{top, filepath.Join(top, "VERSION")} {
		var said bytes.Buffer
		if code := run(ctx, []string{"lint", path}, nil, io.Discard, &said); code != int(failure.Interrupted) || !strings.Contains(said.String(), "run it again") {
			t.Errorf("%s: exit code %d\n%s", path, code, said.String())
		}
	}
}
