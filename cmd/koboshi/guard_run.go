package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/failure"
	"koboshi/agent/guard"
	"koboshi/agent/process"
	"koboshi/agent/report"
)

func (c *cli) guardRun() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "run --source S --app A --group G -- COMMAND...",
		Short: "run a command while groups are kept still",
		Long: "Take the lock of the groups, wait until they are quiet, suspend their processes, run the command,\n" +
			"and put the groups back, also after a failure or a signal. The exit code is the command's, as\n" +
			"128+n after signal n, and 127 where there is no such command. Before the command starts it is 23,\n" +
			"1 or 24, and afterwards 21 where a group could not be put back; --json has them apart. Signals go\n" +
			"to the command. Where the lease cannot be renewed, the command is ended before it ends." +
			guardExits(failure.Found, failure.Lifecycle, failure.Locked, failure.Deadline),
		Example: "  koboshi guard run --source s3://acme-releases/apps --app web --group web --reason 'deploy 1.5.0' -- ./deploy.sh 1.5.0",
		Args: func(cmd *cobra.Command, args []string) error {
			switch at := cmd.ArgsLenAtDash(); {
			case len(args) == 0:
				return errors.New("no command is given behind --")
			case at != 0:
				return fmt.Errorf("want -- before the command: %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.runGuardRun(cmd.Context(), f, args) },
	}
	f.addHolding(cmd, leaseOfRun)
	cmd.Flags().DurationVar(&f.limit, "timeout", time.Hour, "end the command after this `time`; 0 = never")
	return f.add(cmd)
}

// guardRunJSON is the output of run --json: one line, the last one.
type guardRunJSON struct {
	Groups  []heldJSON            `json:"groups"`
	Started bool                  `json:"started"` // the command was: then code is its own, unless there is an error
	Code    int                   `json:"code"`    // the exit code of this process
	Command *int                  `json:"command"` // that of the command
	Ended   agent.Ending          `json:"ended"`   // exit, timeout or lost; "" = not started
	Undone  []agent.GroupRestored `json:"restored"`
	Error   *report.Error         `json:"error"`
}

// The exit codes of a shell for a command that could not be started.
const (
	notExecutable = 126
	notFound      = 127
)

// exitStatus is an error that is an exit code and nothing else: what there is to say was
// said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func (c *cli) runGuardRun(ctx context.Context, f guardFlags, command []string) error {
	g, err := c.newGuard(ctx, f, c.sayOf)
	if err != nil {
		return err
	}
	var out agent.GuardOutcome
	if err = process.Found(command[0]); err == nil { // else nothing is begun
		c.warnOfLaunch(g)
		ignoreSIGPIPE()
		out, err = g.Run(ctx, agent.GuardedCommand{
			Start: func(env []string) (agent.Started, error) {
				s, err := process.Attended{
					Args: command, Env: append(os.Environ(), env...), Input: os.Stdin, Output: osFile(c.ui.out), Errors: osFile(c.ui.err),
				}.Start()
				if err != nil {
					return nil, err
				}
				return s, nil
			},
			Signals: forwarded(), Timeout: f.limit,
		})
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = failure.Mark(err, failure.ErrInterrupted)
	}
	code := guardCode(out, err)
	if f.json {
		if err := c.ui.printLine(guardRunOf(out, err, code)); err != nil {
			return err
		}
	}
	if err != nil {
		c.ui.fail(err)
	}
	if code == 0 {
		return nil
	}
	return exitStatus(code)
}

// forwarded are the signals that the command gets. From now on none of them ends this
// process by itself.
func forwarded() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}, ignored)...)
	return signals
}

// guardCode is the exit code of run.
func guardCode(out agent.GuardOutcome, err error) int {
	switch {
	case err == nil:
		return out.Code
	case errors.Is(err, guard.ErrNotRestored):
		return int(failure.Lifecycle)
	case process.IsNotStarted(err) && (errors.Is(err, fs.ErrNotExist) || process.IsNotFound(err)):
		return notFound
	case process.IsNotStarted(err):
		return notExecutable
	}
	return int(failure.CodeOf(err))
}

func guardRunOf(out agent.GuardOutcome, err error, code int) guardRunJSON {
	j := guardRunJSON{Groups: []heldJSON{}, Started: out.Started, Code: code, Ended: out.Ending, Undone: []agent.GroupRestored{}}
	for _, h := range out.Held {
		j.Groups = append(j.Groups, heldOf(h))
	}
	for _, r := range out.Restored {
		j.Undone = append(j.Undone, restoredOf(r))
	}
	if out.Started {
		j.Command = &out.Code
	}
	if err != nil {
		j.Error = failure.Explain(err)
		j.Error.Code = code
	}
	return j
}

// osFile is a stream that a command can have as it is.
func osFile(w io.Writer) *os.File {
	f, _ := w.(*os.File)
	return f
}

// printLine writes a result for machines as one line: the command may have written
// others before.
func (u *ui) printLine(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	u.printf("%s\n", harmless(data))
	return nil
}
