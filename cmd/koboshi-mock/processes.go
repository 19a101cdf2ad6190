package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/awstest/control"
)

func (m *mock) suspend() *cobra.Command {
	return m.onProcesses("suspend", http.MethodPost, "suspend processes of a group, or all of them")
}

func (m *mock) resume() *cobra.Command {
	return m.onProcesses("resume", http.MethodDelete, "resume processes of a group, or all of them")
}

func (m *mock) onProcesses(name, method, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " GROUP [PROCESS...]", Short: short, Args: cobra.MinimumNArgs(1),
		ValidArgs: processNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.do(cmd, method, groupPath(args[0], "suspended"), append([]string{}, args[1:]...), nil)
		},
	}
}

func processNames() (names []string) {
	for _, p := range autoscaling.Processes {
		names = append(names, string(p))
	}
	return names
}

func (m *mock) suspended() *cobra.Command {
	return &cobra.Command{
		Use: "suspended GROUP", Short: "print the suspended processes of a group, with their reasons", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.show(cmd, groupPath(args[0], "suspended"))
		},
	}
}

func (m *mock) trigger() *cobra.Command {
	return &cobra.Command{
		Use: "trigger GROUP PROCESS [N]", Short: "let AZRebalance, AlarmNotification or ScheduledActions of a group act, unless it is suspended", Args: cobra.RangeArgs(2, 3),
		Long:    "Lets a process of a group act, unless it is suspended, and prints which. An alarm and a scheduled action set the\ndesired capacity to N. AZRebalance launches an instance and terminates the oldest once that is in service.",
		Example: "  koboshi-mock trigger web AlarmNotification 5\n  koboshi-mock trigger web AZRebalance",
		RunE: func(cmd *cobra.Command, args []string) error {
			t := control.Trigger{Process: autoscaling.Process(args[1])}
			if len(args) > 2 {
				n, err := strconv.Atoi(args[2])
				if err != nil {
					return fmt.Errorf("%q is no number of instances", args[2])
				}
				t.Desired = n
			}
			var answer struct {
				Acted bool `json:"acted"`
			}
			if err := m.do(cmd, http.MethodPost, groupPath(args[0], "trigger"), t, &answer); err != nil {
				return err
			}
			word := "suspended"
			if answer.Acted {
				word = "acted"
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), word)
			return wrap(err)
		},
	}
}

func (m *mock) refresh() *cobra.Command {
	return &cobra.Command{
		Use: "refresh GROUP [STATUS...]", Short: "show these instance refreshes of a group, the newest first, and no others; those that are started by the API replace instances", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			refreshes := []autoscaling.Refresh{}
			for _, status := range args[1:] {
				refreshes = append(refreshes, autoscaling.Refresh{Status: status})
			}
			return m.do(cmd, http.MethodPut, groupPath(args[0], "refreshes"), refreshes, nil)
		},
	}
}

func (m *mock) alarm() *cobra.Command {
	return &cobra.Command{
		Use: "alarm NAME on|off", Short: "put a CloudWatch alarm into ALARM, or out of it: it fails instance refreshes that name it", Args: cobra.ExactArgs(2), ValidArgs: []string{"on", "off"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[1] != "on" && args[1] != "off" {
				return fmt.Errorf("%q, want on or off", args[1])
			}
			return m.do(cmd, http.MethodPut, "alarms/"+url.PathEscape(args[0]), args[1] == "on", nil)
		},
	}
}

func (m *mock) lag() *cobra.Command {
	return &cobra.Command{
		Use: "lag DURATION", Short: "let Describe of Auto Scaling answer what was so long ago; 0s ends that", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lag, err := time.ParseDuration(args[0])
			if err != nil || lag < 0 {
				return fmt.Errorf("%q is no duration such as 30s", args[0])
			}
			return m.do(cmd, http.MethodPut, "lag", lag, nil)
		},
	}
}

func (m *mock) deployment() *cobra.Command {
	return &cobra.Command{
		Use: "deployment APP GROUP [ID=STATUS...]", Short: "give a deployment group of CodeDeploy these deployments, the newest first, and no others", Args: cobra.MinimumNArgs(2),
		Long:    "Gives a deployment group of CodeDeploy these deployments, and no others; it makes the group and its application.\nA status is one of " + strings.Join(codedeploy.Statuses, ", ") + ".",
		Example: "  koboshi-mock deployment web blue-green d-8JHL2KQF1=InProgress",
		RunE: func(cmd *cobra.Command, args []string) error {
			deployments := []codedeploy.Deployment{}
			for _, arg := range args[2:] {
				id, status, _ := strings.Cut(arg, "=")
				if !slices.Contains(codedeploy.Statuses, status) {
					return fmt.Errorf("%q: want ID=STATUS with one of %s", arg, strings.Join(codedeploy.Statuses, ", "))
				}
				deployments = append(deployments, codedeploy.Deployment{ID: id, Status: status})
			}
			return m.do(cmd, http.MethodPut, "deployments/"+url.PathEscape(args[0])+"/"+url.PathEscape(args[1]), deployments, nil)
		},
	}
}
