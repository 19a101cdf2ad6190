// Package lifecycle makes an instance's few Auto Scaling calls about itself:
// which group it is in, and completing or keeping alive the lifecycle action
// that waits for it. It also holds their pace and jitter.
//
// An action exists only while the instance waits in a lifecycle hook. A call
// before that, or after it, is refused with "No active Lifecycle Action", so
// [Client.Complete] looks at the instance's state to tell too early from over.
// The reply to a call that worked may be lost too; that looks like over, and is.
//
// The API's rate is shared by everything in the account and region. So the
// package describes nothing but its own instance and one lifecycle hook, and
// leaves what is throttled or fails to the retryer that [New] is given, the one
// retry layer.
//
// What the package never does: it never touches a lifecycle hook of CodeDeploy,
// never lists a group or its hooks, and never logs.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
package lifecycle
