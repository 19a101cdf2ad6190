//go:build e2e

package awstest

import (
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
)

func TestCLIProcesses(t *testing.T) {
	s := New(t)
	outside, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, outside)
	check(t, s.CreateGroup(autoscaling.Group{Name: "web", Desired: 1}))
	ofGroup := func(args ...string) []string {
		return append(append([]string{"autoscaling"}, args...), "--auto-scaling-group-name", "web")
	}
	type groups struct {
		AutoScalingGroups []struct {
			SuspendedProcesses []struct{ ProcessName, SuspensionReason string }
		}
	}
	suspended := func() (names []string) {
		t.Helper()
		for _, p := range cliInto[groups](aws, "autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", "web").AutoScalingGroups[0].SuspendedProcesses {
			if _, err := time.Parse("User suspended at 2006-01-02T15:04:05Z", p.SuspensionReason); err != nil {
				t.Error(err)
			}
			names = append(names, p.ProcessName)
		}
		return names
	}
	aws.run(ofGroup("suspend-processes", "--scaling-processes", "Launch", "AZRebalance")...)
	equal(t, suspended(), []string{"AZRebalance", "Launch"})
	aws.run(ofGroup("resume-processes", "--scaling-processes", "Launch")...)
	equal(t, suspended(), []string{"AZRebalance"})
	aws.run(ofGroup("suspend-processes")...)
	equal(t, len(suspended()), len(autoscaling.Processes))
	s.Model().SetLag(time.Hour)
	aws.run(ofGroup("resume-processes")...)
	equal(t, len(suspended()), len(autoscaling.Processes))
	s.Model().SetLag(0)
	equal(t, len(suspended()), 0)
	aws.fails("ValidationError", ofGroup("suspend-processes", "--scaling-processes", "Lunch")...)

	id := s.Instances()[1].ID()
	aws.run("autoscaling", "set-instance-health", "--instance-id", id, "--health-status", "Unhealthy")
	type activities struct {
		Activities []struct{ ActivityID, Description, StatusCode, StartTime, EndTime string }
		NextToken  string
	}
	all := cliInto[activities](aws, ofGroup("describe-scaling-activities", "--max-items", "1")...)
	equal(t, len(all.Activities), 1)
	equal(t, []string{all.Activities[0].Description, all.Activities[0].StatusCode}, []string{"Terminating EC2 instance: " + id, "Successful"})

	check(t, s.Model().SetRefreshes("web", autoscaling.Refresh{Status: "InProgress"}))
	type refreshes struct {
		InstanceRefreshes []struct{ Status string }
	}
	equal(t, cliInto[refreshes](aws, ofGroup("describe-instance-refreshes")...).InstanceRefreshes[0].Status, "InProgress")

	check(t, s.Deployments().Set("shop", "blue-green", codedeploy.Deployment{ID: "d-8JHL2KQF1", Status: "Ready"}, codedeploy.Deployment{ID: "d-000000001", Status: "Succeeded"}))
	type deployments struct{ Deployments []string }
	list := []string{"deploy", "list-deployments", "--application-name", "shop", "--deployment-group-name", "blue-green"}
	equal(t, cliInto[deployments](aws, list...).Deployments, []string{"d-8JHL2KQF1", "d-000000001"})
	equal(t, cliInto[deployments](aws, append(list, "--include-only-statuses", "Created", "Queued", "InProgress", "Ready")...).Deployments, []string{"d-8JHL2KQF1"})
	aws.fails("ApplicationDoesNotExistException", "deploy", "list-deployments", "--application-name", "api", "--deployment-group-name", "blue-green")
	aws.fails("DeploymentGroupDoesNotExistException", "deploy", "list-deployments", "--application-name", "shop", "--deployment-group-name", "in-place")
}

// The instance refresh of the mock, by as much of it as Debian's AWS CLI knows: no
// rollback, bake time, alarms and max healthy, which the SDK's test has.
func TestCLIRefresh(t *testing.T) {
	s := New(t)
	outside, err := s.Launch(autoscaling.LaunchOptions{AZ: "eu-west-1a"})
	check(t, err)
	aws := newCLI(t, s, outside)
	check(t, s.CreateGroup(autoscaling.Group{
		Name: "web", Desired: 2, LaunchTemplate: autoscaling.LaunchTemplate{ID: "lt-0a1b2c3d4e5f60718", Version: "1"},
		Versions: map[string]autoscaling.LaunchOptions{"1": {}, "2": {AMI: "ami-0aa"}},
	}))
	of := func(args ...string) []string {
		return append(append([]string{"autoscaling"}, args...), "--auto-scaling-group-name", "web")
	}
	desired := func(version string) string {
		return `{"LaunchTemplate":{"LaunchTemplateId":"lt-0a1b2c3d4e5f60718","Version":"` + version + `"}}`
	}
	type refreshes struct {
		InstanceRefreshes []struct {
			InstanceRefreshID, Status, StatusReason, EndTime string
			PercentageComplete, InstancesToUpdate            int
			DesiredConfiguration                             struct {
				LaunchTemplate struct{ Version string }
			}
			Preferences struct{ CheckpointPercentages []int }
		}
	}
	aws.fails("ActiveInstanceRefreshNotFound", of("cancel-instance-refresh")...)
	aws.fails("ValidationError", of("start-instance-refresh", "--desired-configuration", desired("3"))...)
	aws.fails("ValidationError", of("start-instance-refresh", "--preferences", `{"CheckpointPercentages":[50,20,100]}`)...)
	aws.fails("ValidationError", of("start-instance-refresh", "--preferences", `{"CheckpointDelay":60}`)...)

	aws.run(of("start-instance-refresh", "--desired-configuration", desired("2"), "--preferences", `{"MinHealthyPercentage":50,"CheckpointPercentages":[50,100],"CheckpointDelay":3600}`)...)
	aws.fails("InstanceRefreshInProgress", of("start-instance-refresh")...)
	shown := cliInto[refreshes](aws, of("describe-instance-refreshes")...).InstanceRefreshes[0]
	equal(t, []any{shown.Status, shown.PercentageComplete, shown.InstancesToUpdate, shown.DesiredConfiguration.LaunchTemplate.Version, shown.Preferences.CheckpointPercentages}, []any{"InProgress", 50, 1, "2", []int{50, 100}})
	equal(t, strings.HasPrefix(shown.StatusReason, "Waiting until "), true)
	aws.run(of("cancel-instance-refresh")...)
	shown = cliInto[refreshes](aws, of("describe-instance-refreshes")...).InstanceRefreshes[0]
	equal(t, []any{shown.Status, shown.EndTime != ""}, []any{"Cancelled", true})
	aws.run(of("start-instance-refresh", "--desired-configuration", desired("2"), "--preferences", `{"SkipMatching":true}`)...)
	shown = cliInto[refreshes](aws, of("describe-instance-refreshes")...).InstanceRefreshes[0]
	equal(t, []any{shown.Status, shown.PercentageComplete}, []any{"Successful", 100})
	equal(t, len(s.Instances()), 1+2+2) // the one outside, and each of the two replaced once
	type groups struct {
		AutoScalingGroups []struct {
			LaunchTemplate struct{ Version string }
			Instances      []struct{ LaunchTemplate struct{ Version string } }
		}
	}
	g := cliInto[groups](aws, "autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", "web").AutoScalingGroups[0]
	equal(t, []string{g.LaunchTemplate.Version, g.Instances[0].LaunchTemplate.Version, g.Instances[1].LaunchTemplate.Version}, []string{"2", "2", "2"})
}
