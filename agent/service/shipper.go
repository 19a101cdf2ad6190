package service

import (
	"context"
	"errors"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/process"
	"koboshi/systemd"
)

// AskShipper runs the command of a flush to its end, as the flush's user or as
// hooks do, and returns its exit status and the last line of its output. An error
// means that it did not exit by itself.
func (s Service) AskShipper(ctx context.Context, name string, f config.Flush) (status int, last string, err error) {
	out := &lines{print: func(string) {}}
	err = s.backend.run(ctx, program{
		unit:  "koboshi-" + s.config.App + "-flush-" + name + ".service",
		about: "drain.flush." + name + " of " + s.config.App,
		quiet: true, // it may be asked each second
		late:  true, // after the app has stopped with the machine
		user:  f.User,
		Command: process.Command{
			Args: f.Command, Dir: "/", Timeout: time.Duration(f.Timeout), Output: out,
		},
	})
	out.flush()
	if status, exited := exitStatus(err); exited {
		return status, out.last, nil
	}
	return 0, "", out.explain(err)
}

// exitStatus is with which status a program exited by itself; those of systemd
// are of programs that it could not run.
func exitStatus(err error) (status int, exited bool) {
	if err == nil {
		return 0, true
	}
	if job, ok := errors.AsType[*systemd.JobError](err); ok {
		return int(job.Status), job.Cause == "exit-code" && job.Status < 200
	}
	var exit interface{ ExitCode() int } // *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), true
	}
	return 0, false
}
