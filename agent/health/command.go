package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

const (
	// MaxOutput is how much of the end of a command's output is kept, in bytes.
	MaxOutput = 4 << 10

	// pipeGrace is how long the output of a command that has ended is waited
	// for: a process that it left behind may hold the pipe open for ever.
	pipeGrace = 250 * time.Millisecond
)

// Cmd is a command to run: no shell, a session and process group of its own,
// /dev/null as standard input, and no descriptor beyond the three.
type Cmd struct {
	// Args is the program, looked up in our PATH if it has no slash, and its
	// arguments.
	Args []string
	Dir  string
	// Env is the whole environment. Nothing of ours is added to it.
	Env []string
	// Timeout is when the process group is killed; 0: when the context ends.
	Timeout time.Duration
	// Log is for a command that starts something to stay: a file, made anew,
	// that takes standard output and error and goes on taking what those that
	// outlive the command write. Without it what the command left behind is
	// killed when it ends.
	Log string
	// Output takes standard output and error where there is no Log. Without
	// either the end of the output is collected, for the error.
	Output io.Writer
	// As is whom the command runs as; nil: as we do.
	As *syscall.Credential
}

// Run runs a command to its end and returns the end of what was collected of
// its output, as one line without control characters. An error names the program and has that line
// too; it is an *exec.ExitError where the command ran and failed, and the
// context's where that ended first.
func Run(ctx context.Context, c Cmd) (output string, err error) {
	if len(c.Args) == 0 {
		return "", errors.New("run: no command given")
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no end within %v", c.Timeout))
		defer cancel()
	}
	if c.Log != "" {
		output, err = c.runLogged(ctx)
	} else {
		output, err = c.runCollected(ctx)
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

func (c Cmd) runCollected(ctx context.Context) (string, error) {
	var collected tail
	output := c.Output
	if output == nil {
		output = &collected
	}
	cmd := c.command(ctx, output)
	err := cmd.Run()
	if cmd.Process != nil {
		_ = killGroup(cmd.Process.Pid) // an error: nobody was left behind
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it did end, and well; only its pipe had not been closed
	}
	return oneLine(collected), err
}

func (c Cmd) runLogged(ctx context.Context) (string, error) {
	// Not truncated: what an earlier command started may still write to it.
	if err := os.Remove(c.Log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	log, err := os.OpenFile(c.Log, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	err = c.command(ctx, log).Run()
	return endOf(log), err
}

func (c Cmd) command(ctx context.Context, output io.Writer) *exec.Cmd {
	// Go marks what it opens, but not what our own parent left open to us. A
	// kernel before 5.11 cannot; then those pass on.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...) //nolint:gosec // the operator's own command
	cmd.Dir = c.Dir
	cmd.Env = append([]string{}, c.Env...) // never nil, which would mean ours
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.As}
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

// tail keeps the last MaxOutput bytes that were written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p[max(0, len(p)-MaxOutput):]...)
	if extra := len(*t) - MaxOutput; extra > 0 {
		*t = append((*t)[:0], (*t)[extra:]...)
	}
	return len(p), nil
}

// endOf returns the end of a log. It only explains an error, so one that cannot
// be read is empty.
func endOf(log *os.File) string {
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(log, max(0, size-MaxOutput), MaxOutput))
	if err != nil {
		return ""
	}
	return oneLine(text)
}

// oneLine makes foreign output fit to be shown: on a terminal, in a log line.
func oneLine(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
	return strings.Join(strings.Fields(clean), " ")
}
