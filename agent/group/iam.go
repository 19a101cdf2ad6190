package group

import (
	"fmt"

	"koboshi/artifacts/iam"
)

// ReadStatements allow to describe groups, whichever: AWS cannot restrict that.
func ReadStatements() []iam.Statement {
	return []iam.Statement{iam.Allow("Describe", []string{"*"}, "autoscaling:DescribeAutoScalingGroups")}
}

// Statements allow the calls of this package on these groups, in one of
// [iam.Partitions]; without names on every group. AWS cannot restrict Describe to a
// resource. CodeDeploy is asked about deployment groups, written APP/GROUP.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodedeploy.html
func Statements(partition string, groups, deploymentGroups []string) []iam.Statement {
	arns := []string{fmt.Sprintf("arn:%s:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*", partition)}
	if len(groups) > 0 {
		arns = nil
	}
	for _, name := range groups {
		arns = append(arns, fmt.Sprintf("arn:%s:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/%s", partition, iam.Literal(name)))
	}
	statements := []iam.Statement{
		iam.Allow("Processes", arns, "autoscaling:SuspendProcesses", "autoscaling:ResumeProcesses"),
		iam.Allow("Describe", []string{"*"}, "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities", "autoscaling:DescribeInstanceRefreshes"),
	}
	var deployments []string
	for _, name := range deploymentGroups {
		deployments = append(deployments, fmt.Sprintf("arn:%s:codedeploy:*:*:deploymentgroup:%s", partition, iam.Literal(name)))
	}
	if len(deployments) > 0 {
		statements = append(statements, iam.Allow("Deployments", deployments, "codedeploy:ListDeployments"))
	}
	return statements
}
