package instance

import (
	"os"
	"testing"
)

// TestMain keeps the tests from the AWS settings of whoever runs them.
func TestMain(m *testing.M) {
	for _, name := range []string{"DISABLED", "SERVICE_ENDPOINT", "SERVICE_ENDPOINT_MODE"} {
		_ = os.Unsetenv("AWS_EC2_METADATA_" + name)
	}
	os.Exit(m.Run())
}
