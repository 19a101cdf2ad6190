package lifecycle

import (
	"fmt"
	"strings"

	"koboshi/artifacts/iam"
)

// StackStatements allow the signal to a stack, in one of [iam.Partitions]: its name, or
// its id. Without a stack there are none.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
func StackStatements(partition, stack string) []iam.Statement {
	switch {
	case stack == "":
		return nil
	case !strings.HasPrefix(stack, "arn:"):
		stack = fmt.Sprintf("arn:%s:cloudformation:*:*:stack/%s/*", partition, iam.Literal(stack))
	}
	return []iam.Statement{iam.Allow("Stack", []string{stack}, "cloudformation:SignalResource")}
}

// Statements allow the calls of this package to Auto Scaling, in one of [iam.Partitions]. Without
// a group, the actions of every group are allowed. AWS cannot restrict Describe
// to a resource.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html
func Statements(partition, group string) []iam.Statement {
	name := "*"
	if group != "" {
		name = iam.Literal(group)
	}
	groups := []string{fmt.Sprintf("arn:%s:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/%s", partition, name)}
	return []iam.Statement{
		iam.Allow("Lifecycle", groups, "autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"),
		iam.Allow("Describe", []string{"*"}, "autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"),
	}
}
