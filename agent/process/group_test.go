package process

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

func shell(dir, script string) Command {
	return Command{Args: []string{"/bin/sh", "-c", script}, Dir: dir, Env: []string{"PATH=/usr/bin:/bin"}}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	output, err := Group{}.Run(t.Context(), shell(dir, `pwd; printf 'a\033[31mb\000c\nd\377' >&2`))
	if want := dir + " a [31mb c d?"; output != want || err != nil {
		t.Errorf("Run = %q, %v; want %q", output, err, want)
	}
	output, err = Group{}.Run(t.Context(), shell(dir, "echo bad key; exit 7"))
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 || output != "bad key" {
		t.Errorf("Run = %q, %v; want exit status 7", output, err)
	}
	checkError(t, err, "run /bin/sh: exit status 7: bad key")
	_, err = Group{}.Run(t.Context(), Command{Args: []string{filepath.Join(dir, "none")}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	if _, err = (Group{}).Run(t.Context(), Command{}); err == nil {
		t.Error("no error for no command")
	}
}

func TestRunInheritsNothing(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	for _, env := range [][]string{nil, {"A=1"}} {
		c := Command{Args: []string{"/usr/bin/env"}, Env: env}
		if output, err := (Group{}).Run(t.Context(), c); output != strings.Join(env, " ") || err != nil {
			t.Errorf("environment %v became %q (%v)", env, output, err)
		}
	}
	careless, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0) // no O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(careless) }()
	// ls itself opens 3 to read the directory.
	output, err := Group{}.Run(t.Context(), Command{Args: []string{"/bin/ls", "/proc/self/fd"}})
	if output != "0 1 2 3" || err != nil {
		t.Errorf("descriptors %q (%v), want 0 1 2 3", output, err)
	}
}

func TestRunKeepsTheEndOfAFlood(t *testing.T) {
	for _, log := range []string{"", filepath.Join(t.TempDir(), "log")} {
		c := shell("/", "yes flood | head -c 3000000; echo; echo the end")
		output, err := Group{Log: log}.Run(t.Context(), c)
		if err != nil || len(output) > MaxOutput || len(output) < MaxOutput/2 || !strings.HasSuffix(output, "flood the end") {
			t.Errorf("log %q: kept %d bytes that end in %q (%v)", log, len(output), output[max(0, len(output)-20):], err)
		}
	}
}

// fifo makes a FIFO. Each of its writers is a process that lives: reading ends
// when the last one has ended.
func fifo(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// allEnded calls begun when the first writer has opened the FIFO, and sends when
// the last one has ended.
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
	_, err := Group{}.Run(t.Context(), c)
	checkError(t, err, "run /bin/sh: not finished after 50ms")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v looks like a deadline of the caller's", err)
	}
}

// The children of the command's children end with it, although they hold its
// output open. It is interrupted when the last of them runs.
func TestRunKillsTheWholeGroup(t *testing.T) {
	var output strings.Builder
	for name, tt := range map[string]struct {
		log    string
		output io.Writer
		err    string
	}{
		"collected": {err: "run /bin/sh: context canceled: waiting"},
		"log":       {log: filepath.Join(t.TempDir(), "log"), err: "run /bin/sh: context canceled: waiting"},
		"output":    {output: &output, err: "run /bin/sh: context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			ended := allEnded(fifo(t, dir, "alive"), cancel)
			c := shell(dir, "echo waiting; sh -c '(exec 3>alive; exec sleep 1000) & wait' & wait")
			c.Output = tt.output
			_, err := Group{Log: tt.log}.Run(ctx, c)
			if err == nil || err.Error() != tt.err || !errors.Is(err, context.Canceled) {
				t.Errorf("Run = %v, want %q", err, tt.err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	if output.String() != "waiting\n" {
		t.Errorf("output %q", output.String())
	}
}

// A command does not go on when the process that runs it is killed. Here that is
// this test, once more, in a process of its own.
func TestRunEndsWithUs(t *testing.T) {
	if dir := os.Getenv("RUNS_IN"); dir != "" {
		output, err := Group{}.Run(t.Context(), shell(dir, "exec 3>alive; exec sleep 1000"))
		t.Fatalf("Run = %q, %v: not killed", output, err)
	}
	dir := t.TempDir()
	us := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunEndsWithUs$")
	us.Env = []string{"RUNS_IN=" + dir}
	alive := fifo(t, dir, "alive")
	if err := us.Start(); err != nil {
		t.Fatal(err)
	}
	ended := allEnded(alive, func() { _ = us.Process.Kill() })
	if err := us.Wait(); err == nil || us.ProcessState.Exited() {
		t.Fatalf("%v, want it to be killed", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What a command leaves behind is killed, even where it holds the output open.
func TestRunLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ended := allEnded(fifo(t, dir, "alive"), func() {})
	// The shell opens the FIFO itself, so its child has it from the start.
	output, err := Group{}.Run(t.Context(), shell(dir, "exec 3>alive; sleep 1000 & echo ok"))
	if output != "ok" || err != nil {
		t.Errorf("Run = %q, %v", output, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Output takes everything, and an error then includes none of it.
func TestRunWithOutput(t *testing.T) {
	var output strings.Builder
	c := shell("/", "yes flood | head -c 300000; echo the end >&2; exit 3")
	c.Output = &output
	_, err := Group{}.Run(t.Context(), c)
	checkError(t, err, "run /bin/sh: exit status 3")
	if text := output.String(); len(text) != 300000+len("the end\n") || !strings.HasSuffix(text, "flood\nthe end\n") {
		t.Errorf("output of %d bytes that ends in %q", len(text), text[max(0, len(text)-20):])
	}
}

// What a command with a log started stays, and its output is still logged.
func TestRunWithLogLeavesTheDaemon(t *testing.T) {
	dir := t.TempDir()
	ask, answer := fifo(t, dir, "ask"), fifo(t, dir, "answer")
	c := shell(dir, `(read x <ask; echo "daemon heard $x"; echo done >answer) & echo started`)
	c.Timeout = 30 * time.Second
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte("of the run before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := (Group{Log: log}).Run(t.Context(), c); output != "started" || err != nil {
		t.Fatalf("Run = %q, %v", output, err)
	}
	if err := os.WriteFile(ask, []byte("hello\n"), 0o600); err != nil { // opens only if the daemon lives
		t.Fatal(err)
	}
	if _, err := os.ReadFile(answer); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(log); string(text) != "started\ndaemon heard hello\n" || err != nil {
		t.Errorf("log %q, %v", text, err)
	}
}

// What a command can read, and that it need not.
func TestGroupInput(t *testing.T) {
	input := []byte(strings.Repeat("x", 1<<20))
	if output, err := (Group{}).Run(t.Context(), Command{Args: []string{"/usr/bin/wc", "-c"}, Input: input}); err != nil || output != "1048576" {
		t.Errorf("Run = %q, %v", output, err)
	}
	if _, err := (Group{}).Run(t.Context(), Command{Args: []string{"/bin/true"}, Input: input}); err != nil {
		t.Errorf("a command that reads nothing: %v", err)
	}
}
