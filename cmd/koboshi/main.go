// Command koboshi brings an EC2 instance to the release that its channel names,
// proven by signature and hash, and tells the Auto Scaling group when it serves.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"koboshi/agent/failure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait for what the first one began
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

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
