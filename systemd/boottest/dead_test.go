//go:build boottest

package boottest

import (
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/faults"
)

// An app that dies between the gate and CONTINUE, here while Auto Scaling
// throttles, is not sent into service.
func TestDiesAfterTheGate(t *testing.T) {
	t.Parallel()
	throttled := faults.Fault{Service: "autoscaling", Operation: "CompleteLifecycleAction", Status: 400, Code: "Throttling"}
	scenario{
		channel: "1.0.0",
		faults:  []faults.Fault{throttled},
		meanwhile: func(c *container) {
			c.until(settleLimit, "CONTINUE was refused", func() bool {
				return len(c.aws.Calls().Filter(func(call faults.Call) bool { return call.Operation == throttled.Operation })) > 0
			})
			c.kill("web.service", unix.SIGKILL)
			c.aws.Faults().Clear()
		},
		want: abandoned("20", "", "just before CONTINUE: unhealthy: web.service is failed (failed)"),
	}.run(t)
}
