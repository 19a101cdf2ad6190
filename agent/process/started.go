package process

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attended is a command with the caller's own standard streams, in a process group of
// its own: it gets the signals that it is sent, and no others. Where standard input is
// a terminal, it is in the foreground there, and gets those that are typed.
//
// It is killed when this process is. What it has started itself is not then.
type Attended struct {
	Args                  []string
	Env                   []string // the whole environment
	Input, Output, Errors *os.File
}

// Started is an Attended command that was started.
type Started struct {
	group int
	done  chan struct{}
	code  int // once done is closed
}

// Found reports whether there is such a program, as an *exec.Error.
func Found(program string) error {
	_, err := exec.LookPath(program)
	return err
}

// IsNotFound reports whether there is no such program, and IsNotStarted whether it
// could not be started.
func IsNotFound(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// IsNotStarted reports whether a program could not be started.
func IsNotStarted(err error) bool {
	_, unfound := errors.AsType[*exec.Error](err)
	e, failed := errors.AsType[*fs.PathError](err)
	return unfound || failed && e.Op == "fork/exec"
}

// Start starts the command. An error is an *exec.Error or *fs.PathError: it was not
// started.
func (a Attended) Start() (*Started, error) {
	if len(a.Args) == 0 {
		return nil, errors.New("run: no command given")
	}
	cmd := exec.Command(a.Args[0], a.Args[1:]...) //nolint:gosec,noctx // the operator's own command; it is ended by signals
	cmd.Env = append([]string{}, a.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reader(a.Input), writer(a.Output), writer(a.Errors)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	terminal := inForeground(a.Input)
	if terminal >= 0 {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, terminal
	}
	s := &Started{done: make(chan struct{})}
	failed := make(chan error)
	go func() {
		// Linux takes the end of this thread for the death of the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			s.group = cmd.Process.Pid
		}
		failed <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in its state
		s.code = exitCode(cmd.ProcessState)
		if terminal >= 0 {
			takeBack(terminal)
		}
		close(s.done)
	}()
	if err := <-failed; err != nil {
		return nil, err
	}
	return s, nil
}

// reader and writer keep a nil file from becoming an interface that is not nil.
func reader(f *os.File) io.Reader {
	if f == nil {
		return nil
	}
	return f
}

func writer(f *os.File) io.Writer {
	if f == nil {
		return nil
	}
	return f
}

// Signal sends a signal to all processes of the command's group. That there are none
// left is no error.
func (s *Started) Signal(which os.Signal) {
	if number, ok := which.(syscall.Signal); ok {
		_ = syscall.Kill(-s.group, number)
	}
}

// Done is closed once the command has ended; what it has started may still run.
func (s *Started) Done() <-chan struct{} { return s.done }

// Code is its exit code, once it is done, as a shell has it: 128+n where signal n ended
// it.
func (s *Started) Code() int {
	<-s.done
	return s.code
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// inForeground is the descriptor of a terminal whose foreground this process is in; -1
// where there is none.
func inForeground(f *os.File) int {
	if f == nil {
		return -1
	}
	fd := int(f.Fd())
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return -1
	}
	return fd
}

// takeBack makes this process's group the one in the foreground again. The kernel stops
// one in the background that does so, unless it ignores that.
func takeBack(terminal int) {
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(terminal, unix.TIOCSPGRP, unix.Getpgrp())
}
