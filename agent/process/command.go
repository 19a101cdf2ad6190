package process

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Command is one command to run.
type Command struct {
	// Args is the program and its arguments. A program without a slash is
	// looked up in our PATH; in a Unit one with a slash must be an absolute path.
	Args []string
	Dir  string
	// Env is the whole environment in a Group. A Unit adds what systemd sets
	// for every service.
	Env []string
	// Timeout is how long the command may run; 0: until the context ends.
	Timeout time.Duration
	// Input is what the command can read from its standard input; nil: nothing.
	Input []byte
	// Output takes standard output and error, from one goroutine. Where it is
	// nil a Group collects the end of the output, for the error.
	Output io.Writer
	// Result takes standard output alone, in a Group without a Log: Output, and what
	// is collected, is then standard error.
	Result io.Writer
}

// limited is ctx with the command's timeout, whose cause reads "not finished
// after 1m0s": a plain context.DeadlineExceeded would look like the caller's.
func (c Command) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not finished after %v", c.Timeout))
}
