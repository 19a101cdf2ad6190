package balancer

import "koboshi/artifacts/iam"

// Statements allow the calls of this package, for target groups by their ARNs. AWS
// cannot restrict Describe to a resource.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html
func Statements(groups []string, deregister bool) []iam.Statement {
	statements := []iam.Statement{iam.Allow("TargetHealth", []string{"*"}, "elasticloadbalancing:DescribeTargetHealth")}
	if deregister {
		statements = append(statements, iam.Allow("Deregister", groups, "elasticloadbalancing:DeregisterTargets"))
	}
	return statements
}
