//go:build e2e

package awstest

import (
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
