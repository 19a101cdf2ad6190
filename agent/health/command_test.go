package health

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(dir, script string) Cmd {
	return Cmd{Args: []string{"/bin/sh", "-c", script}, Dir: dir, Env: []string{"PATH=/usr/bin:/bin"}}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	output, err := Run(t.Context(), shell(dir, `pwd; printf 'a\033[31mb\000c\nd\377' >&2`))
	if want := dir + " a [31mb c d?"; output != want || err != nil {
		t.Errorf("Run = %q, %v; want %q", output, err, want)
	}
	output, err = Run(t.Context(), shell(dir, "echo bad key; exit 7"))
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 || output != "bad key" {
		t.Errorf("Run = %q, %v; want exit status 7", output, err)
	}
	checkError(t, err, "run /bin/sh: exit status 7: bad key")
	_, err = Run(t.Context(), Cmd{Args: []string{filepath.Join(dir, "none")}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	if _, err = Run(t.Context(), Cmd{}); err == nil {
		t.Error("no error for no command")
	}
}

func TestRunInheritsNothing(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	for _, env := range [][]string{nil, {"A=1"}} {
		c := Cmd{Args: []string{"/usr/bin/env"}, Env: env}
		if output, err := Run(t.Context(), c); output != strings.Join(env, " ") || err != nil {
			t.Errorf("environment %v became %q (%v)", env, output, err)
		}
	}
	careless, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0) // no O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(careless) }()
	// ls itself opens 3 to read the directory.
	output, err := Run(t.Context(), Cmd{Args: []string{"/bin/ls", "/proc/self/fd"}})
	if output != "0 1 2 3" || err != nil {
		t.Errorf("descriptors %q (%v), want 0 1 2 3", output, err)
	}
}

func TestRunKeepsTheEndOfAFlood(t *testing.T) {
	for _, log := range []string{"", filepath.Join(t.TempDir(), "log")} {
		c := shell("/", "yes flood | head -c 3000000; echo; echo the end")
		c.Log = log
		output, err := Run(t.Context(), c)
		if err != nil || len(output) > MaxOutput || len(output) < MaxOutput/2 || !strings.HasSuffix(output, "flood the end") {
			t.Errorf("log %q: kept %d bytes that end in %q (%v)", log, len(output), output[max(0, len(output)-20):], err)
		}
	}
}

// A writer of the FIFO is a process that lives: reading ends with the last one.
func fifo(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// allEnded calls begun when the first writer has come, and sends when the last
// one is gone.
func allEnded(path string, begun func()) <-chan error {
	ended := make(chan error, 1)
	go func() {
		f, err := os.Open(path)
		begun()
		if err == nil {
			_, err = io.ReadAll(f)
			_ = f.Close()
		}
		ended <- err
	}()
	return ended
}

func TestRunHasADeadline(t *testing.T) {
	c := shell("/", "exec sleep 1000")
	c.Timeout = 50 * time.Millisecond
	_, err := Run(t.Context(), c)
	checkError(t, err, "run /bin/sh: no end within 50ms")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v passes for a deadline of the caller's", err)
	}
}

func TestRunKillsTheWholeGroup(t *testing.T) {
	for _, log := range []string{"", "log"} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		ended := allEnded(fifo(t, dir, "alive"), cancel)
		c := shell(dir, "echo waiting; (exec 3>alive; exec sleep 1000) & wait")
		if log != "" {
			c.Log = filepath.Join(dir, log)
		}
		_, err := Run(ctx, c)
		checkError(t, err, "run /bin/sh: context canceled: waiting")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want context.Canceled", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// What a probe leaves behind goes with it, even when it holds the output open.
func TestRunLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ended := allEnded(fifo(t, dir, "alive"), func() {})
	// The shell opens the FIFO itself, so its child has it from the start.
	output, err := Run(t.Context(), shell(dir, "exec 3>alive; sleep 1000 & echo ok"))
	if output != "ok" || err != nil {
		t.Errorf("Run = %q, %v", output, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Output takes it all as it comes, and an error then has none of it.
func TestRunWithOutput(t *testing.T) {
	var output strings.Builder
	c := shell("/", "yes flood | head -c 300000; echo the end >&2; exit 3")
	c.Output = &output
	_, err := Run(t.Context(), c)
	checkError(t, err, "run /bin/sh: exit status 3")
	if text := output.String(); len(text) != 300000+len("the end\n") || !strings.HasSuffix(text, "flood\nthe end\n") {
		t.Errorf("output of %d bytes that ends in %q", len(text), text[max(0, len(text)-20):])
	}
}

// At the deadline the children of the command's children end, too, although
// they hold the output open.
func TestRunWithOutputKillsTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	ended := allEnded(fifo(t, dir, "alive"), func() {})
	var output strings.Builder
	c := shell(dir, "exec 3>alive; echo waiting; (sh -c 'sleep 1000 & wait' & wait)")
	c.Output, c.Timeout = &output, 100*time.Millisecond
	_, err := Run(t.Context(), c)
	checkError(t, err, "run /bin/sh: no end within 100ms")
	if err := <-ended; err != nil || output.String() != "waiting\n" {
		t.Errorf("output %q, %v", output.String(), err)
	}
}

// What a restart command started stays, and so does its output.
func TestRunWithLogLeavesTheDaemon(t *testing.T) {
	dir := t.TempDir()
	ask, answer := fifo(t, dir, "ask"), fifo(t, dir, "answer")
	c := shell(dir, `(read x <ask; echo "daemon heard $x"; echo done >answer) & echo started`)
	c.Log, c.Timeout = filepath.Join(dir, "log"), 30*time.Second
	if err := os.WriteFile(c.Log, []byte("of the run before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := Run(t.Context(), c); output != "started" || err != nil {
		t.Fatalf("Run = %q, %v", output, err)
	}
	if err := os.WriteFile(ask, []byte("hello\n"), 0o600); err != nil { // opens only if the daemon lives
		t.Fatal(err)
	}
	if _, err := os.ReadFile(answer); err != nil {
		t.Fatal(err)
	}
	if log, err := os.ReadFile(c.Log); string(log) != "started\ndaemon heard hello\n" || err != nil {
		t.Errorf("log %q, %v", log, err)
	}
}
