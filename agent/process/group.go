package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeGrace is how long to wait for the output of a command that has ended: a
// process that it left behind may keep the pipe open for ever.
const pipeGrace = 250 * time.Millisecond

// Group runs commands in a session and process group of their own, with no
// descriptor beyond standard input, output and error.
type Group struct {
	// Log is for a command that starts something that is to stay: a file that
	// is created anew and takes standard output and error, also of the processes
	// that outlive the command. Command.Output is then not used. Without a Log
	// everything that the command left behind in its group is killed.
	Log string
	// As is the user that the command runs as; nil: ours.
	As *syscall.Credential
}

// Run runs a command to its end. It returns the end of the output that was
// collected, as one line without control characters; nothing is collected
// where the command has an Output and the group no Log.
//
// An error names the program and includes that line. It is an *exec.ExitError
// if the command ran and failed, and the context's cause if that ended first.
// When the timeout or the context ends, the whole group is killed.
func (g Group) Run(ctx context.Context, c Command) (output string, err error) {
	if len(c.Args) == 0 {
		return "", errors.New("run: no command given")
	}
	ctx, cancel := c.limited(ctx)
	defer cancel()
	if g.Log != "" {
		output, err = g.runLogged(ctx, c)
	} else {
		output, err = g.runCollected(ctx, c)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil && output != "" {
		err = fmt.Errorf("%w: %s", err, output)
	}
	if err != nil {
		return output, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	return output, nil
}

func (g Group) runCollected(ctx context.Context, c Command) (string, error) {
	var collected tail
	output := c.Output
	if output == nil {
		output = &collected
	}
	cmd := g.prepare(ctx, c, output)
	// The command ends when we are killed; what it has started does not. Linux
	// takes the death of the thread for ours, so the thread is kept.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := cmd.Run()
	if cmd.Process != nil {
		_ = killGroup(cmd.Process.Pid) // an error: nothing was left behind
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command succeeded; only its pipe was still open
	}
	return oneLine(collected), err
}

func (g Group) runLogged(ctx context.Context, c Command) (string, error) {
	// Not truncated: what an earlier command started may still write to it.
	if err := os.Remove(g.Log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	log, err := os.OpenFile(g.Log, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	err = g.prepare(ctx, c, log).Run()
	return endOf(log), err
}

func (g Group) prepare(ctx context.Context, c Command, output io.Writer) *exec.Cmd {
	// Go marks the descriptors that it opens, but not those that our own parent
	// left open. A kernel before 5.11 has no such call; then they are inherited.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...) //nolint:gosec // the operator's own command
	cmd.Dir = c.Dir
	cmd.Env = append([]string{}, c.Env...) // never nil, which would mean ours
	cmd.Stdout, cmd.Stderr = output, output
	if c.Result != nil && g.Log == "" {
		cmd.Stdout = c.Result
	}
	if c.Input != nil {
		cmd.Stdin = bytes.NewReader(c.Input)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: g.As}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = pipeGrace
	return cmd
}

func killGroup(leader int) error {
	err := syscall.Kill(-leader, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
