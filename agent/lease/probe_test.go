package lease_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/artifacts/bucket"
)

// What a probe finds of tables that cannot hold node ids, in the order of its checks.
func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(m *leasetest.Memory)
		want  []string
	}{
		"a good one":            {func(*leasetest.Memory) {}, nil},
		"it denies lists":       {func(m *leasetest.Memory) { m.Fail(leasetest.Fault{Op: leasetest.List, Err: bucket.ErrDenied}) }, []string{"the ids are listed: access denied"}},
		"it denies writes only": {func(m *leasetest.Memory) { m.Fail(leasetest.Fault{Op: leasetest.Swap, Err: bucket.ErrDenied}) }, []string{"an item is written: access denied"}},
		"it denies reads":       {func(m *leasetest.Memory) { m.Fail(leasetest.Fault{Op: leasetest.Get, Err: bucket.ErrDenied}) }, []string{"an item is read: access denied"}},
		"it is down":            {func(m *leasetest.Memory) { m.Down(leasetest.ErrLostAnswer) }, []string{"the ids are listed: connection reset by peer", "an item is written: connection reset by peer"}},
		"it ignores conditions": {(*leasetest.Memory).IgnoreConditions, []string{"a write over an item, where there must be none, is refused: it was stored", "a write over another item than was read is refused: it was stored"}},
		"it has another clock":  {func(m *leasetest.Memory) { m.Skew(time.Hour) }, []string{"this machine's clock is the table's: it is 1h0m0s behind the table's"}},
		"our clock is ahead":    {func(m *leasetest.Memory) { m.Skew(-time.Hour) }, []string{"this machine's clock is the table's: it is 1h0m0s ahead of the table's"}},
		"it is two minutes off": {func(m *leasetest.Memory) { m.Skew(2 * time.Minute) }, nil},
		"it tells no clock":     {(*leasetest.Memory).Undated, []string{"(this machine's clock is the table's: the table has no clock in its answers)"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := leasetest.NewMemory(leasetest.Objects, "web")
				c.spoil(m)
				var got []string
				for _, check := range lease.Probe(t.Context(), m, time.Now).Checks {
					line := fmt.Sprintf("%s: %s", check.What, check.Found)
					if check.Needs == "" {
						line = "(" + line + ")"
					}
					if check.Found != "" {
						got = append(got, line)
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("found %q, want %q", got, c.want)
				}
				if len(m.Items()) > 0 {
					t.Errorf("it wrote %v", m.Items())
				}
			})
		})
	}
}
