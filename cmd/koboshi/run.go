package main

import (
	"context"
	"io"

	"koboshi/agent/failure"
)

// run is the whole program but for the process around it: arguments and streams
// in, an exit code out.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{ui: newUI(stdout, stderr)}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !c.started {
		err = usage(err)
	}
	if err != nil {
		c.ui.fail(err)
	}
	return int(failure.CodeOf(err))
}
