//go:build e2e

package flush

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest/loopback"
	"koboshi/agent/config"
	"koboshi/artifacts/pace"
)

// unpacked is a program of the packages that testdata/shippers.sh unpacks.
func unpacked(t *testing.T, dir, path string, args ...string) *exec.Cmd {
	t.Helper()
	root, err := filepath.Abs("../../.build/shippers")
	must(t, err)
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Fatalf("%v: make .build/shippers unpacks it", err)
	}
	cmd := exec.Command(filepath.Join(root, path), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+root+"/usr/lib/x86_64-linux-gnu:"+root+"/lib/x86_64-linux-gnu:"+root+"/usr/lib/syslog-ng")
	return cmd
}

// running starts a program; stop ends it as systemd does.
func running(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, cmd.Start())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			after := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait()
			after.Stop()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(cmd.Path), output.String())
		}
	})
	return stop
}

// until waits for a condition, for at most half a minute.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := limited(t, 30*time.Second)
	for !holds() {
		if pace.Sleep(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// address is that of a server, and its parts.
func address(t *testing.T) (address, host, port string) {
	t.Helper()
	address = loopback.Address()
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	return address, host, port
}

func answers(address string) func() bool {
	return func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
}

// writer is an app that writes 2,000 numbered lines a second.
type writer struct {
	t    *testing.T
	path string
	n    int
}

// write writes for that long. With rotate, the file is renamed after half of it.
func (w *writer) write(d time.Duration, rotate bool) {
	w.t.Helper()
	const step, lines = 10 * time.Millisecond, 20
	steps := int(d / step)
	for i := range steps {
		var b strings.Builder
		for range lines {
			w.n++
			fmt.Fprintf(&b, "line %d of the app, with some more text in it\n", w.n)
		}
		add(w.t, w.path, b.String())
		if rotate && i == steps/2 {
			must(w.t, os.Rename(w.path, w.path+".1"))
		}
		must(w.t, pace.Sleep(w.t.Context(), step))
	}
}

// delivered checks that every line is among those received, and prints how many
// came more than once.
func (w *writer) delivered(received func() string) {
	w.t.Helper()
	count := map[string]int{}
	until(w.t, "every line is at the receiver", func() bool { // its own queue comes after its acknowledgement
		clear(count)
		for line := range strings.Lines(received()) {
			if number, _, found := strings.Cut(strings.TrimSpace(line), " of the app"); found {
				count[number]++
			}
		}
		return len(count) == w.n
	})
	twice := 0
	for i := range w.n {
		twice += max(0, count[fmt.Sprintf("line %d", i+1)]-1)
	}
	w.t.Logf("%d lines, %d of them more than once", w.n, twice)
}

// proven awaits a flush right after the stop, and prints what that took.
func proven(t *testing.T, f *Flusher) Answer {
	t.Helper()
	began := time.Now()
	answer := f.Await(t.Context())
	t.Logf("FIGURE %s: %s %.2f s after the stop", f.Kind(), answer, time.Since(began).Seconds())
	return answer
}

// runner runs a command of the operator's with the environment of cmd.
func runner(of *exec.Cmd) Runner {
	return func(ctx context.Context, _ string, f config.Flush) (int, string, error) {
		cmd := exec.CommandContext(ctx, f.Command[0], f.Command[1:]...)
		cmd.Env, cmd.Dir = of.Env, of.Dir
		output, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			return 0, "", err
		}
		return cmd.ProcessState.ExitCode(), string(bytes.TrimSpace(output)), nil
	}
}

func contents(path string) func() string {
	return func() string {
		data, _ := os.ReadFile(path)
		return string(data)
	}
}
