// Command koboshi-mock is a loopback AWS for laptops and scripts: S3, DynamoDB, Auto
// Scaling, ELB, STS and each instance's metadata service.
//
//	koboshi-mock serve --bucket releases --group web --launch-hook koboshi-launching --ready-file mock.env &
//	until [ -e mock.env ]; do sleep 0.1; done; . ./mock.env
//	eval "$(koboshi-mock launch --group web)"
//	koboshi boot
//	koboshi-mock wait "$INSTANCE_ID" InService
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"koboshi/agent/awstest/control"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// failure is an error of a command that was called correctly: any other is a usage error.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	root := newRoot(getenv)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "koboshi-mock: error: %v\n", err)
	if _, ok := errors.AsType[failure](err); ok {
		return exitFailed
	}
	_, _ = fmt.Fprintln(stderr, "koboshi-mock: hint: see koboshi-mock --help")
	return exitUsage
}

func newRoot(getenv func(string) string) *cobra.Command {
	root := &cobra.Command{
		Use:           "koboshi-mock",
		Short:         "a loopback AWS for laptops and scripts",
		Long:          "A loopback AWS for laptops and scripts: S3, Auto Scaling, CodeDeploy, ELB, STS, Parameter Store, Secrets Manager and each instance's metadata service.\n\nExit codes: 0 done, 1 failed, 2 usage.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(*cobra.Command, []string) error { return errors.New("no command given") },
	}
	mock := &mock{}
	root.PersistentFlags().StringVar(&mock.URL, "mock", getenv("KOBOSHI_MOCK_URL"), "`URL` of the server, from KOBOSHI_MOCK_URL")
	root.AddCommand(newServe(), mock.group(), mock.launch(), mock.terminate(), mock.move(), mock.spot(), mock.rebalance(), mock.pool(), mock.scale(),
		mock.suspend(), mock.resume(), mock.suspended(), mock.trigger(), mock.refresh(), mock.alarm(), mock.lag(), mock.deployment(),
		mock.targetGroup(), mock.targets(), mock.tag(), mock.untag(),
		mock.state(), mock.wait(), mock.imds(), mock.fault(), mock.faults(), mock.calls(), mock.bucket(), mock.table())
	return root
}

// mock is the server that the client commands talk to.
type mock struct{ control.Client }

// do marks errors of the mock, which are no usage errors.
func (m *mock) do(cmd *cobra.Command, method, path string, in, out any) error {
	if m.URL == "" {
		return errors.New("which server? set --mock or KOBOSHI_MOCK_URL")
	}
	if err := m.Do(cmd.Context(), method, path, in, out); err != nil {
		return failure{err}
	}
	return nil
}
