//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// sample is one run. rss is the largest process's, not the sum of a pipe's.
type sample struct {
	wall, cpu time.Duration
	started   time.Duration // until the app is started; 0 = it is not
	answered  time.Duration // until it answers
	rss       int64         // bytes
	began     time.Time
	err       error
}

// usage is what a child of the runner has cost.
type usage struct {
	Began     time.Time
	Wall, CPU time.Duration
	RSS       int64
	Err       string
}

// runner in the environment makes the test's binary run one command. The
// kernel counts the memory of the parent into a process's own peak, so the
// parent has to be a small process.
const runner = "KOBOSHI_BENCH_RUNNER"

func TestMain(m *testing.M) {
	if os.Getenv(runner) == "" {
		os.Exit(m.Run())
	}
	if err := json.NewEncoder(os.Stdout).Encode(costs(os.Args[1:])); err != nil {
		os.Exit(1)
	}
}

func costs(args []string) usage {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	err := cmd.Run()
	u := usage{Began: began, Wall: time.Since(began)}
	if err != nil {
		u.Err = err.Error()
	}
	if state := cmd.ProcessState; state != nil { // of the command and all that it has waited for
		u.CPU = state.UserTime() + state.SystemTime()
		if r, ok := state.SysUsage().(*syscall.Rusage); ok {
			u.RSS = r.Maxrss << 10
		}
	}
	return u
}

// run measures a command with everything that it starts.
func run(cmd *exec.Cmd) sample {
	var said bytes.Buffer
	through := exec.Command(os.Args[0], append([]string{cmd.Path}, cmd.Args[1:]...)...)
	through.Env, through.Stderr = append(cmd.Env, runner+"=1"), &said
	output, err := through.Output()
	var u usage
	if err == nil {
		err = json.Unmarshal(output, &u)
	}
	if err == nil && u.Err != "" {
		err = errors.New(u.Err)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return sample{wall: u.Wall, cpu: u.CPU, rss: u.RSS, began: u.Began, err: err}
}
