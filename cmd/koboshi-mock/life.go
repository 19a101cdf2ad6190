package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/ec2"
	"koboshi/agent/awstest/elb"
)

func (m *mock) terminate() *cobra.Command {
	var behind bool
	cmd := &cobra.Command{
		Use: "terminate ID", Short: "scale an instance in", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if behind {
				return m.do(cmd, http.MethodPost, instancePath(args[0], "move", autoscaling.ToTermination), nil, nil)
			}
			return m.do(cmd, http.MethodDelete, instancePath(args[0]), nil, nil)
		},
	}
	cmd.Flags().BoolVar(&behind, "api", false, "by TerminateInstances of EC2: the machine is off before Auto Scaling notices")
	return cmd
}

func (m *mock) spot() *cobra.Command {
	var n ec2.Interruption
	var withdraw bool
	cmd := &cobra.Command{
		Use: "spot ID", Short: "give an instance a Spot notice, and switch its machine off when that has run out", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if withdraw {
				return m.do(cmd, http.MethodDelete, instancePath(args[0], "spot"), nil, nil)
			}
			return m.do(cmd, http.MethodPost, instancePath(args[0], "spot"), n, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&n.Action, "action", "terminate", "`ACTION` of the notice: terminate, stop or hibernate")
	flags.DurationVar(&n.Notice, "notice", 0, "IMDS shows the notice after this long")
	flags.DurationVar(&n.After, "after", 2*time.Minute, "the machine is off so long after the notice")
	flags.BoolVar(&withdraw, "withdraw", false, "take the notice back")
	return cmd
}

func (m *mock) rebalance() *cobra.Command {
	var withdraw bool
	cmd := &cobra.Command{
		Use: "rebalance ID", Short: "give an instance a rebalance recommendation", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			method := http.MethodPost
			if withdraw {
				method = http.MethodDelete
			}
			return m.do(cmd, method, instancePath(args[0], "rebalance"), nil, nil)
		},
	}
	cmd.Flags().BoolVar(&withdraw, "withdraw", false, "take it back")
	return cmd
}

func (m *mock) move() *cobra.Command {
	return &cobra.Command{
		Use: "move ID TO", Short: "move an instance of a group: to " + strings.Join(autoscaling.Moves, ", "), Args: cobra.ExactArgs(2),
		Long: "Moves an instance of a group: out of the warm pool or of standby (service), into standby, back into the pool,\n" +
			"out of the group (detached), through the replacement of its root volume, or by TerminateInstances of EC2 (termination).",
		ValidArgs: autoscaling.Moves,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(autoscaling.Moves, args[1]) {
				return fmt.Errorf("%q, want one of %s", args[1], strings.Join(autoscaling.Moves, ", "))
			}
			return m.do(cmd, http.MethodPost, instancePath(args[0], "move", args[1]), nil, nil)
		},
	}
}

func groupPath(name, part string) string { return "groups/" + url.PathEscape(name) + "/" + part }

func (m *mock) pool() *cobra.Command {
	var p autoscaling.Pool
	var state, back string
	var remove bool
	cmd := &cobra.Command{
		Use: "pool GROUP", Short: "give a group a warm pool", Args: cobra.ExactArgs(1),
		Long:    "Gives a group a warm pool and fills it, or deletes it. koboshi-mock move takes an instance out of it, or back.",
		Example: "  koboshi-mock pool web --state Stopped --size 1 --reuse\n  koboshi-mock move \"$INSTANCE_ID\" service",
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove {
				return m.do(cmd, http.MethodDelete, groupPath(args[0], "pool"), nil, nil)
			}
			p.State, p.Back = autoscaling.State("Warmed:"+state), autoscaling.State(back)
			return m.do(cmd, http.MethodPut, groupPath(args[0], "pool"), p, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "Stopped", "`STATE` that its instances are kept in: Stopped, Running or Hibernated")
	flags.IntVar(&p.Size, "size", 0, "how many instances it has")
	flags.BoolVar(&p.Reuse, "reuse", false, "scale-in returns instances to it")
	flags.StringVar(&back, "back", "", "`STATE` in which the terminate hook of one waits that returns: Terminating:Wait (default) or Warmed:Pending:Wait")
	flags.BoolVar(&remove, "delete", false, "terminate its instances")
	return cmd
}

func (m *mock) scale() *cobra.Command {
	return &cobra.Command{
		Use: "scale GROUP N", Short: "set how many instances a group has", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 {
				return fmt.Errorf("%q is no number of instances", args[1])
			}
			return m.do(cmd, http.MethodPut, groupPath(args[0], "desired"), n, nil)
		},
	}
}

func (m *mock) targetGroup() *cobra.Command {
	var delay, initial time.Duration
	cmd := &cobra.Command{
		Use: "target-group NAME", Short: "create a target group of a load balancer, and print its ARN", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if delay < 0 || initial < 0 {
				return errors.New("--delay and --initial are not below 0")
			}
			g := targetGroup(args[0], delay)
			g.Initial = initial
			var created struct {
				ARN string `json:"arn"`
			}
			if err := m.do(cmd, http.MethodPost, "targetgroups", g, &created); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), created.ARN)
			return wrap(err)
		},
	}
	cmd.Flags().DurationVar(&delay, "delay", 5*time.Minute, "how long a deregistered target is draining")
	cmd.Flags().DurationVar(&initial, "initial", 0, "how long a new target is initial")
	return cmd
}

// targetGroup has no delay where that is 0, which is AWS's default in elb.Group.
func targetGroup(name string, delay time.Duration) elb.Group {
	if delay == 0 {
		delay = -1
	}
	return elb.Group{Name: name, Delay: delay}
}

func (m *mock) targets() *cobra.Command {
	return &cobra.Command{
		Use: "targets NAME", Short: "print the health of a target group's instances", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.show(cmd, "targetgroups/"+url.PathEscape(args[0]))
		},
	}
}
