package leasetest

import (
	"context"

	"koboshi/agent/lease"
)

// Confirm is the tenure by the item that the table has now. Errors are lease.ErrLost and
// the table's.
func Confirm(ctx context.Context, table lease.Table, t lease.Tenure) (lease.Tenure, error) {
	s, err := table.Get(ctx, t.ID)
	switch {
	case err != nil:
		return t, err
	case s.Bad != nil:
		return t, s.Bad
	case s.Item == nil:
		return t, lease.ErrLost
	}
	return t.Confirmed(*s.Item)
}
