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
	leasetest.Schedules(t, 1_000_000, n, "", newKeeper)
}

func TestModelScheduleMutants(t *testing.T) {
	leasetest.Schedules(t, 0, 1_000, leasetest.Nothing, newKeeper)
	leasetest.Catch(t, leasetest.Mutants(), newKeeper)
}
