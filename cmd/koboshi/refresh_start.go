package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/group"
	"koboshi/agent/refresh"
)

type refreshStartFlags struct {
	refreshFlags
	options          group.RefreshOptions
	template         string
	least, most      int
	warmup           time.Duration
	with             string
	parallel, errors string // of --with ssm
}

// bySSM is the one engine that --with knows beside Auto Scaling's.
const bySSM = "ssm"

func (c *cli) refreshStart() *cobra.Command {
	var f refreshStartFlags
	cmd := &cobra.Command{
		Use:   "start --group G [--template ID:VERSION]",
		Short: "replace the instances of a group",
		Long: "Start an instance refresh, and wait for its end: 0 where it has succeeded, 1 where it has not, or\n" +
			"was not started because it would fail or go nowhere. When this ends sooner, the refresh goes on.\n" +
			"--template is the launch template that the group gets once the refresh has succeeded: leave it\n" +
			"out where only the release is new. Instances follow their channel, also those that a rollback\n" +
			"launches. With --with ssm nothing is started: the command is printed that has Systems Manager run\n" +
			"koboshi sync on the instances that there are." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Fetch, failure.Locked, failure.Interrupted),
		Example: "  koboshi refresh start --group web --template lt-0a1b2c3d4e5f60718:7 --checkpoints 10,50,100 --checkpoint-delay 10m \\\n" +
			"    --min-healthy 100 --max-healthy 110 --bake 15m --alarm web-5xx --auto-rollback\n" +
			"  koboshi refresh start --group web\n" +
			"  koboshi refresh start --group web --with ssm --max-concurrency 10% --max-errors 1 --alarm web-5xx",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return ofRefresh(c.runRefreshStart(cmd.Context(), f)) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.template, "template", "", "launch template that the group shall get, `ID:VERSION`")
	flags.IntSliceVar(&f.options.Checkpoints, "checkpoints", nil, "wait once this `percent` is replaced; the last one is 100")
	flags.DurationVar(&f.options.CheckpointDelay, "checkpoint-delay", 0, "wait this `long` at each checkpoint; default: AWS's, 1h")
	flags.IntVar(&f.least, "min-healthy", 0, "keep this `percent` of the group in service; default: the group's, or AWS's, 90")
	flags.IntVar(&f.most, "max-healthy", 0, "never run more than this `percent`; 100 launches before it terminates; default: the group's")
	flags.DurationVar(&f.options.Bake, "bake", 0, "watch the alarms this `long` once all are replaced")
	flags.DurationVar(&f.warmup, "warmup", 0, "a new instance counts after this `time` in service; default: the group's")
	flags.StringArrayVar(&f.options.Alarms, "alarm", nil, "fail while this CloudWatch `alarm` is in ALARM; repeat it for several")
	flags.BoolVar(&f.options.AutoRollback, "auto-rollback", false, "where it fails, replace the new instances again, by the launch template from before")
	flags.BoolVar(&f.options.SkipMatching, "skip-matching", false, "leave alone the instances that have the launch template already; it does not see the channel")
	flags.StringVar(&f.with, "with", "", "`engine`: "+bySSM+" prints a command of the AWS CLI for Systems Manager")
	flags.StringVar(&f.parallel, "max-concurrency", "10%", "with --with ssm: on so `many` instances at once, a number or a percentage")
	flags.StringVar(&f.errors, "max-errors", "1", "with --with ssm: stop after so `many` errors, a number or a percentage")
	f.addWaiting(cmd)
	excludes(cmd, "with", "template", "checkpoints", "checkpoint-delay", "min-healthy", "max-healthy", "bake", "warmup", "auto-rollback", "skip-matching", "no-wait", "json")
	alsoCheck(cmd, f.check)
	return cmd
}

// check reads the flags that are more than one value.
func (f *refreshStartFlags) check(cmd *cobra.Command) (err error) {
	given := cmd.Flags().Changed
	if err := checkGroup(f.group); err != nil {
		return err
	}
	if f.with != "" {
		return f.checkSSM()
	}
	if given("max-concurrency") || given("max-errors") {
		return errors.New("--max-concurrency and --max-errors are for --with ssm")
	}
	if given("template") {
		t, err := refresh.ParseTemplate(f.template)
		if err != nil {
			return fmt.Errorf("--template %w", err)
		}
		f.options.Template = &t
	}
	if given("min-healthy") {
		f.options.MinHealthy = &f.least
	}
	if given("max-healthy") {
		f.options.MaxHealthy = &f.most
	}
	if given("warmup") {
		f.options.Warmup = &f.warmup
	}
	return refresh.Check(f.options)
}

func (f *refreshStartFlags) checkSSM() error {
	if f.with != bySSM {
		return fmt.Errorf("--with %.20q, want %s", f.with, bySSM)
	}
	if len(f.options.Alarms) > 1 {
		return errors.New("--with ssm takes one --alarm: make a composite alarm of several")
	}
	for flag, text := range map[string]string{"--max-concurrency": f.parallel, "--max-errors": f.errors} {
		number := strings.TrimSuffix(text, "%")
		if number == "" || len(number) > 6 || strings.Trim(number, "0123456789") != "" {
			return fmt.Errorf("%s %.20q, want a number, or a percentage such as 10%%", flag, text)
		}
	}
	return refresh.Check(group.RefreshOptions{Alarms: f.options.Alarms})
}

func (c *cli) runRefreshStart(ctx context.Context, f refreshStartFlags) error {
	if f.with == bySSM {
		line, err := f.sendCommand()
		if err == nil {
			c.ui.printf("%s\n", line)
		}
		return err
	}
	r, err := c.refresher(ctx, f.refreshFlags)
	if err != nil {
		return err
	}
	id, err := r.Start(ctx, f.options)
	if errors.Is(err, context.Canceled) {
		return goesOn(f.group, "may have been started")
	}
	if err != nil {
		return err
	}
	ignoreSIGPIPE()
	return c.follow(ctx, r, f.refreshFlags, id, "Successful")
}

// sendCommand is the command line that has Systems Manager run the document that the
// packages bring.
func (f *refreshStartFlags) sendCommand() (string, error) {
	targets, err := json.Marshal([]struct {
		Key    string
		Values []string
	}{{"tag:aws:autoscaling:groupName", []string{f.group}}})
	if err != nil {
		return "", err
	}
	line := []string{"aws ssm send-command --document-name koboshi-sync --targets", quoteForShell(string(targets)), "--max-concurrency", f.parallel, "--max-errors", f.errors}
	if len(f.options.Alarms) > 0 {
		type alarm struct{ Name string }
		alarms, err := json.Marshal(struct{ Alarms []alarm }{[]alarm{{f.options.Alarms[0]}}})
		if err != nil {
			return "", err
		}
		line = append(line, "--alarm-configuration", quoteForShell(string(alarms)))
	}
	return strings.Join(append(line, "--query Command.CommandId --output text"), " "), nil
}

func quoteForShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
