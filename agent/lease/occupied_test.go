package lease_test

import (
	"errors"
	"testing"
	"time"

	"koboshi/agent/lease"
)

func TestOccupied(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	const locked = time.Hour
	at := func(s lease.Stored) lease.Stored { s.Exists = true; return s }
	item := func(state lease.State, left time.Duration) *lease.Item {
		return &lease.Item{State: state, HW: now.Add(left).UnixMilli() - 1}
	}
	for _, tt := range []struct {
		name string
		seen lease.Stored
		want bool
	}{
		{"never given", lease.Stored{}, false},
		{"no item", at(lease.Stored{Bad: errors.New("garbage")}), true},
		{"read, held", at(lease.Stored{Item: item(lease.Held, time.Minute)}), true},
		{"read, expired", at(lease.Stored{Item: item(lease.Held, 0)}), false},
		{"read, free with a mark ahead", at(lease.Stored{Item: item(lease.Free, time.Minute)}), false},
		{"listed, free", at(lease.Stored{State: lease.Free, Modified: now}), false},
		{"listed, held", at(lease.Stored{State: lease.Held, Modified: now.Add(-locked)}), true},
		{"listed, expired", at(lease.Stored{State: lease.Held, Modified: now.Add(-locked - 1)}), false},
		{"listed, nothing is known", at(lease.Stored{}), true},
	} {
		if got := tt.seen.Occupied(locked, now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
