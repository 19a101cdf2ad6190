package lifecycle

import (
	"fmt"

	"koboshi/artifacts/iam"
)

// Statements allow the calls of this package, in one of [iam.Partitions]. Without
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
