//go:build boottest

package boottest

import (
	"testing"

	"koboshi/agent/awstest"
	"koboshi/agent/status"
)

func TestFirstBoot(t *testing.T) {
	t.Parallel()
	scenario{
		channel: "1.0.0",
		want: outcome{exit: "0", verdict: status.Fresh, hook: awstest.Continue, state: awstest.InService,
			serves: "1.0.0", says: "web 1.0.0 serves (fresh"},
	}.run(t)
}
