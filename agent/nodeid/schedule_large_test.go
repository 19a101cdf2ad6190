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
	leasetest.Schedules(t, 1_000_000, n, "", newDisks(t).begin)
}

func TestModelScheduleMutants(t *testing.T) {
	begin := newDisks(t).begin
	leasetest.Schedules(t, 0, 200, leasetest.Nothing, begin)
	leasetest.Catch(t, leasetest.Mutants(), begin)
}
