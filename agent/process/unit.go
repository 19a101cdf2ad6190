package process

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"koboshi/systemd"
)

// outputGrace is how long to wait for the output of a unit that has ended.
const outputGrace = time.Second

// Unit runs a command in a transient systemd unit of its own.
type Unit struct {
	Name        string // no other command uses it at the same time
	Description string // for systemctl status and the journal
	As          systemd.Credentials
	Inherited   systemd.Inherited // in addition to the command's environment
	View        *systemd.View     // nil = directories are what they are
	Quiet       bool              // nothing about it in the journal, even where it fails
	AtShutdown  bool              // runs also while the machine shuts down
	Brief       bool              // so short that it may outlive this process where that is killed
}

// Manager is the part of *systemd.Manager that a Unit needs.
type Manager interface {
	RunTransient(ctx context.Context, t systemd.Transient) error
	Discard(ctx context.Context, unit string) error
}

// Run runs a command to its end. A unit of the same name that an earlier
// process left running is stopped first. However it ends, nothing is left: when
// ctx or the timeout ends first, the whole control group gets SIGTERM and 5 s
// later SIGKILL, and so where this process is killed.
//
// Errors: *systemd.JobError if it failed; the cause of the context or of the
// timeout; systemd.ErrDisconnected.
func (u Unit) Run(ctx context.Context, m Manager, c Command) error {
	args, err := found(c.Args)
	if err != nil {
		return err
	}
	if err := m.Discard(ctx, u.Name); err != nil {
		return err
	}
	ctx, cancel := c.limited(ctx)
	defer cancel()
	out, err := capture(c.Output)
	if err != nil {
		return err
	}
	in, err := offer(c.Input)
	if err != nil {
		return errors.Join(err, out.close())
	}
	err = m.RunTransient(ctx, systemd.Transient{
		Unit: u.Name, Description: u.Description, As: u.As, Inherited: u.Inherited, View: u.View, Quiet: u.Quiet, AtShutdown: u.AtShutdown, Bound: !u.Brief,
		Args: args, Dir: c.Dir, Env: c.Env, Timeout: c.Timeout, Input: in.from, Output: out.to,
	})
	in.close()
	return errors.Join(err, out.close())
}

// found makes the program's path absolute. A path that is given is not checked here:
// systemd reports what is wrong with it.
func found(args []string) ([]string, error) {
	if strings.Contains(args[0], "/") {
		return args, nil
	}
	program, err := exec.LookPath(args[0])
	return append([]string{program}, args[1:]...), err
}

// captured is a pipe: one end is handed to a unit, the other one is read.
type captured struct {
	to, from *os.File
	read     chan struct{} // closed when everything has been read
}

func capture(output io.Writer) (*captured, error) {
	if output == nil {
		output = io.Discard
	}
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &captured{to: to, from: from, read: make(chan struct{})}
	go func() {
		defer close(c.read)
		_, _ = io.Copy(output, from) // a report of what happened, no more
	}()
	return c, nil
}

// close returns when all of the output has been read, or after outputGrace if
// some process still keeps the pipe open.
func (c *captured) close() error {
	_ = c.to.Close() // the unit has its own copy
	_ = c.from.SetReadDeadline(time.Now().Add(outputGrace))
	<-c.read
	return c.from.Close()
}

// offered is a pipe: one end is handed to a unit, and what is written to the other
// one is what the unit can read.
type offered struct {
	from, to *os.File
	written  chan struct{} // closed when everything has been written, or no one reads it
}

func offer(input []byte) (offered, error) {
	if input == nil {
		return offered{}, nil
	}
	from, to, err := os.Pipe()
	if err != nil {
		return offered{}, err
	}
	o := offered{from: from, to: to, written: make(chan struct{})}
	go func() {
		defer close(o.written)
		_, _ = to.Write(input) // a command need not read it
		_ = to.Close()
	}()
	return o, nil
}

// close ends an input that was not read to its end.
func (o offered) close() {
	if o.from == nil {
		return
	}
	_ = o.from.Close() // the unit has its own copy
	_ = o.to.SetWriteDeadline(time.Now())
	<-o.written
}
