package main

import (
	"context"
	"errors"
	"io"

	"koboshi/agent/failure"
)

// run is the whole program without its process: arguments and streams in, an exit
// code out.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{ui: newUI(stdout, stderr)}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return int(failure.OK)
	case !c.started:
		err = usage(err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = failure.Mark(err, failure.ErrInterrupted) // by a signal: what else ends a context has its own cause
	}
	c.ui.fail(err)
	return int(failure.CodeOf(err))
}
