package main

import (
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/elb"
)

// groupFlags describe a group: of serve and of group.
type groupFlags struct {
	launchHooks, terminateHooks []string
	hookDefault                 string
	hookTimeout                 time.Duration
	replace, retain             bool
	targetGroups                []string
}

func (f *groupFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.launchHooks, "launch-hook", nil, "`NAME` of a launch hook; may be repeated: an instance waits for all of them")
	flags.StringArrayVar(&f.terminateHooks, "terminate-hook", nil, "`NAME` of a terminate hook; may be repeated")
	flags.DurationVar(&f.hookTimeout, "hook-timeout", time.Hour, "heartbeat timeout of its hooks; may be shorter than AWS's 30s")
	flags.StringVar(&f.hookDefault, "hook-default", "ABANDON", "default `RESULT` of its hooks: CONTINUE or ABANDON")
	flags.StringArrayVar(&f.targetGroups, "target-group", nil, "`NAME` of a target group that its instances are registered with; may be repeated")
	flags.BoolVar(&f.retain, "retain", false, "keep an instance whose terminating action is abandoned")
	flags.BoolVar(&f.replace, "replace", false, "launch another when an instance leaves other than by scale-in")
}

func (f *groupFlags) build(name string) autoscaling.Group {
	g := autoscaling.Group{Name: name, Replace: f.replace, Retain: f.retain}
	for _, target := range f.targetGroups {
		g.TargetGroups = append(g.TargetGroups, elb.Group{Name: target}.ARN())
	}
	add := func(hooks []string, on autoscaling.Transition) {
		for _, hook := range hooks {
			g.Hooks = append(g.Hooks, autoscaling.Hook{
				Name: hook, Transition: on, HeartbeatTimeout: f.hookTimeout, DefaultResult: autoscaling.Result(f.hookDefault),
			})
		}
	}
	add(f.launchHooks, autoscaling.OnLaunch)
	add(f.terminateHooks, autoscaling.OnTerminate)
	return g
}

func (m *mock) group() *cobra.Command {
	var f groupFlags
	cmd := &cobra.Command{
		Use: "group NAME", Short: "create an Auto Scaling group", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.do(cmd, http.MethodPost, "groups", f.build(args[0]), nil)
		},
	}
	f.register(cmd)
	return cmd
}
