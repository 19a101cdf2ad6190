package instance

import (
	"os"
	"testing"
)

// TestMain removes the AWS settings of the user who runs the tests.
func TestMain(m *testing.M) {
	for _, name := range []string{"DISABLED", "SERVICE_ENDPOINT", "SERVICE_ENDPOINT_MODE"} {
		_ = os.Unsetenv("AWS_EC2_METADATA_" + name)
	}
	os.Exit(m.Run())
}
