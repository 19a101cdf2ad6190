//go:build model

package leasetest_test

import (
	"os"
	"testing"

	"koboshi/agent/lease/leasetest"
)

// The schedules of make model, and of its long form.
func TestModelSchedules(t *testing.T) {
	n := uint64(5_000)
	if os.Getenv("LONG") != "" {
		n = 100_000
	}
	runSchedules(t, 1_000_000, n, "")
}

func TestModelScheduleMutants(t *testing.T) {
	runSchedules(t, 0, 1_000, leasetest.Nothing)
	catch(t, leasetest.Mutants())
}
