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
	statements := []iam.Statement{
		iam.Allow("Processes", arns(partition, groups), "autoscaling:SuspendProcesses", "autoscaling:ResumeProcesses"),
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

// RefreshStatements allow the calls for instance refreshes on these groups; without
// names on every group. A refresh to another launch template also needs what its
// instances are launched with, such as ec2:RunInstances and iam:PassRole.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
func RefreshStatements(partition string, groups []string) []iam.Statement {
	return []iam.Statement{
		iam.Allow("Refresh", arns(partition, groups), "autoscaling:StartInstanceRefresh", "autoscaling:CancelInstanceRefresh", "autoscaling:RollbackInstanceRefresh"),
		iam.Allow("DescribeRefresh", []string{"*"}, "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeInstanceRefreshes"),
	}
}

func arns(partition string, groups []string) (all []string) {
	for _, name := range groups {
		all = append(all, fmt.Sprintf("arn:%s:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/%s", partition, iam.Literal(name)))
	}
	if len(all) == 0 {
		return []string{fmt.Sprintf("arn:%s:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*", partition)}
	}
	return all
}
