//go:build model

package nodeid

import (
	"os"
	"testing"

	"koboshi/agent/lease/leasetest"
)

// The schedules of make model, and of its long form.
func TestModelSchedules(t *testing.T) {
	n := uint64(1_000)
	if os.Getenv("LONG") != "" {
		n = 20_000
	}
	runSchedules(t, 1_000_000, n, "")
}

func TestModelScheduleMutants(t *testing.T) {
	runSchedules(t, 0, 200, leasetest.Nothing)
	catch(t, leasetest.Mutants())
}
