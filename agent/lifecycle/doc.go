// Package lifecycle makes an instance's few Auto Scaling calls about itself:
// which group it is in, and completing or keeping alive the lifecycle action
// that waits for it. The pace and jitter of these calls are here, too.
//
// An action exists only while the instance waits in a lifecycle hook. A call
// before that, or after it, is refused with "No active Lifecycle Action", so
// [Client.Complete] looks up the instance's state to distinguish too early from
// over. Where the reply to a successful call was lost, the next call finds the
// action over, which is right.
//
// The API's rate is shared by everything in the account and region. So the
// package describes nothing but its own instance and one lifecycle hook. The
// retryer that [New] is given is the only retry layer for calls that are
// throttled or fail.
//
// What the package never does: it never touches a lifecycle hook of CodeDeploy,
// never lists a group or its hooks, and never logs.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
package lifecycle
