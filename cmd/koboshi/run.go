package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/systemd/install"
)

// run is the whole program without its process: arguments and streams in, an exit
// code out.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{ui: newUI(stdout, stderr)}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(results{c.ui})
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil && c.ui.lost != nil:
		err = c.ui.lost
	case err == nil:
		return int(failure.OK)
	case !c.started:
		err = usage(err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = failure.Mark(err, failure.ErrInterrupted) // by a signal: what else ends a context has its own cause
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	c.ui.fail(advised(cmd, err))
	return int(failure.CodeOf(err))
}

// isCallers is a mistake in the arguments themselves.
func isCallers(err error) bool {
	return errors.Is(err, failure.ErrUsage) || errors.Is(err, install.ErrRoot)
}

// advised gives an error of usage, where nothing better is known, the help of the
// command that was called. What is wrong with a signer is not in there.
func advised(cmd *cobra.Command, err error) error {
	if _, has := errors.AsType[failure.Adviser](err); has || failure.CodeOf(err) != failure.Usage || !isCallers(err) {
		return err
	}
	if what, meant, ok := strings.Cut(err.Error(), "\n\nDid you mean this?\n\t"); ok {
		first, _, _ := strings.Cut(meant, "\n")
		return failure.WithHint(usage(errors.New(what)), "did you mean "+cmd.CommandPath()+" "+first+"?")
	}
	return failure.WithHint(err, "see "+cmd.CommandPath()+" --help")
}
