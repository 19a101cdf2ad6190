package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/s3"
	"koboshi/artifacts/durable"
)

type serveFlags struct {
	addr, imds, readyFile, group string
	buckets                      []string
	delay                        time.Duration
	hooks                        groupFlags
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run the server until it is stopped",
		Long:  "Runs the server until SIGINT or SIGTERM. Prints the environment that points AWS SDKs and the other commands at it.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.serve(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:0", "`IP:PORT` to listen at")
	flags.StringVar(&f.imds, "imds", "127.0.0.1:0", "`IP:PORT` of the instances' IMDS; a fixed one is for one instance at a time")
	flags.StringArrayVar(&f.buckets, "bucket", nil, "`NAME` of a bucket to create; may be repeated")
	flags.StringVar(&f.group, "group", "", "`NAME` of an Auto Scaling group to create")
	flags.StringVar(&f.readyFile, "ready-file", "", "`FILE` to write the environment to once all is ready")
	flags.DurationVar(&f.delay, "deregistration-delay", 5*time.Minute, "how long the group's target groups, which serve creates, are draining an instance")
	f.hooks.register(cmd)
	return cmd
}

func (f *serveFlags) serve(cmd *cobra.Command) error {
	switch {
	case f.group == "" && len(f.hooks.launchHooks)+len(f.hooks.terminateHooks) > 0:
		return errors.New("a hook needs --group")
	case f.group == "" && len(f.hooks.targetGroups) > 0:
		return errors.New("a target group needs --group")
	}
	for _, name := range f.buckets {
		if err := s3.CheckBucketName(name); err != nil {
			return err
		}
	}
	server, err := awstest.Start(awstest.WithAddr(f.addr), awstest.WithIMDSAddr(f.imds))
	if err != nil {
		return failure{err}
	}
	defer server.Close()
	arns, err := f.furnish(server)
	if err != nil {
		return failure{err}
	}
	env := serverExports(server.URL())
	for _, arn := range arns {
		env += "# target group " + arn + "\n"
	}
	if err := f.writeReadyFile(env); err != nil {
		return failure{err}
	}
	if _, err := fmt.Fprint(cmd.OutOrStdout(), env); err != nil {
		return failure{err}
	}
	<-cmd.Context().Done()
	return nil
}

// furnish creates what the flags name. It returns the ARNs of the target groups.
func (f *serveFlags) furnish(server *awstest.Server) (arns []string, err error) {
	for _, name := range f.buckets {
		server.S3().CreateBucket(name)
	}
	for _, name := range f.hooks.targetGroups {
		arn, err := server.Balancer().CreateGroup(targetGroup(name, f.delay))
		if err != nil {
			return nil, err
		}
		arns = append(arns, arn)
	}
	if f.group == "" {
		return arns, nil
	}
	return arns, server.CreateGroup(f.hooks.build(f.group))
}

// writeReadyFile writes it in one piece: a script that sees the file sees all of it.
func (f *serveFlags) writeReadyFile(env string) error {
	if f.readyFile == "" {
		return nil
	}
	dir, err := os.OpenRoot(filepath.Dir(f.readyFile))
	if err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	defer func() { _ = dir.Close() }()
	return durable.WriteFile(dir, filepath.Base(f.readyFile), []byte(env), 0o644)
}

// serverExports are for operators and builds, which are not on an instance.
func serverExports(url string) string {
	return exports([]string{
		"AWS_ENDPOINT_URL=" + url,
		"AWS_ACCESS_KEY_ID=mock",
		"AWS_SECRET_ACCESS_KEY=mock",
		"AWS_REGION=us-east-1",
		"KOBOSHI_MOCK_URL=" + url,
	})
}

// exports renders KEY=value entries for eval in a POSIX shell.
func exports(entries []string) string {
	var b strings.Builder
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String()
}
