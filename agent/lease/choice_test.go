package lease_test

import (
	"errors"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// store puts an item into the table by hand.
func store(t *testing.T, m *leasetest.Memory, id int, change func(i *lease.Item)) {
	t.Helper()
	i := lease.Item{Scope: "web", ID: id, Gen: 5, State: lease.Free, Owner: "i-0", Nonce: lease.Nonce{9}, HW: 1000, Written: time.Now().UTC()}
	change(&i)
	data, err := i.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m.Put(id, data)
}

// Ids that are reserved are never given, and those to avoid only where there is no other,
// whatever order an instance has.
func TestReservedAndAvoided(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		for n := range 8 {
			ids := lease.IDs{First: 20 * n, Last: 20*n + 3, Reserved: []int{20 * n, 20*n + 2}}
			first, second := 20*n+1, 20*n+3
			if n%2 == 0 {
				first, second = second, first
			}
			if tenure := claim(t, holder(m, n, ids), second); tenure.ID != first {
				t.Errorf("got %d, want %d and not %d, which is avoided", tenure.ID, first, second)
			}
			if tenure := claim(t, holder(m, n, ids), first, second); tenure.ID != second {
				t.Errorf("got %d, want %d, as there is no other", tenure.ID, second)
			}
			if _, err := holder(m, 100+n, ids).Claim(t.Context()); !errors.Is(err, lease.ErrNone) {
				t.Errorf("claimed a third: %v", err)
			}
		}
	})
}

// The lowest that can be had: whether it never was held, was released, or has expired.
func TestLowest(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		ids := lease.IDs{First: 1, Last: 600, Lowest: true, Reserved: []int{2}}
		holders := map[int]*lease.Holder{}
		tenures := map[int]lease.Tenure{}
		for n := range 30 {
			h := holder(m, n, ids)
			tenure := claim(t, h)
			holders[tenure.ID], tenures[tenure.ID] = h, tenure
		}
		for _, id := range []int{1, 3, 31} {
			if tenures[id].Gen != 1 {
				t.Errorf("id %d is not held: %v", id, tenures)
			}
		}
		<-time.After(30 * time.Minute)
		for id, tenure := range tenures {
			if id != 5 {
				if _, err := holders[id].Renew(t.Context(), tenure); err != nil {
					t.Fatal(err)
				}
			}
		}
		<-time.After(35*time.Minute + time.Millisecond)
		for _, id := range []int{17, 9} {
			if err := holders[id].Release(t.Context(), tenures[id], time.Now().UnixMilli()); err != nil {
				t.Fatal(err)
			}
		}
		for n, want := range []int{5, 9, 17, 32} {
			counted := &counter{Table: m}
			if tenure := claim(t, holder(counted, 100+n, ids)); tenure.ID != want || counted.calls > 4 {
				t.Errorf("got %d after %d calls, want %d", tenure.ID, counted.calls, want)
			}
		}
	})
}

// A mark ahead of the clock costs its holder a wait: another id comes first.
func TestMarkAhead(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		now := time.Now().UnixMilli()
		for n := range 8 {
			ids := lease.IDs{First: 20 * n, Last: 20*n + 1}
			first, second := ids.First+n%2, ids.Last-n%2
			store(t, m, second, func(i *lease.Item) { i.HW = now + 31_000 })
			store(t, m, first, func(i *lease.Item) { i.HW = now + 29_000 })
			for _, want := range []int{first, second} {
				if tenure := claim(t, holder(m, n, ids)); tenure.ID != want || tenure.Until != tenure.Floor+leaseMillis || tenure.Gen != 6 {
					t.Errorf("got %+v, want id %d", tenure, want)
				}
			}
		}
	})
}

// An id that another claimant is writing is left to it, as is one whose item is deleted
// after it was listed, and one that has no generation left.
func TestNextID(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		m.Fail(leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: lease.ErrBusy})
		if tenure := claim(t, holder(m, 1, two)); tenure.Gen != 1 {
			t.Errorf("got %+v", tenure)
		}
		none := func(id int, want string) {
			t.Helper()
			ids := lease.IDs{First: id, Last: id}
			var why *lease.NoneError
			if _, err := holder(m, 1, ids).Claim(t.Context()); !errors.As(err, &why) || why.Bad != 1 {
				t.Errorf("%s: %v", want, err)
			}
		}
		store(t, m, 20, func(i *lease.Item) { i.Gen = 1<<53 - 1 })
		none(20, "the last generation")
		if m.ShardSize() == 64 {
			return // its lists have the items
		}
		store(t, m, 21, func(*lease.Item) {})
		m.Fail(leasetest.Fault{Op: leasetest.Get, IDs: []int{21}, Times: 1, Before: func() { m.Drop(21) }})
		none(21, "deleted by hand")
		if m.Bytes(21) != nil {
			t.Errorf("it was made again: %s", m.Bytes(21))
		}
	})
}

// A mark so far ahead that nobody would believe the lease above it is left alone.
func TestMarkTooFarAhead(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		store(t, m, 7, func(i *lease.Item) { i.HW = time.Now().UnixMilli() + 24*60*60*1000 })
		_, err := holder(m, 1, one).Claim(t.Context())
		var none *lease.NoneError
		if !errors.As(err, &none) || none.Ahead != 1 {
			t.Fatalf("claimed: %v", err)
		}
		<-time.After(2 * time.Hour)
		if tenure := claim(t, holder(m, 1, one)); tenure.Gen != 6 {
			t.Errorf("got %+v", tenure)
		}
	})
}

// One instance comes to the same ids in the same order; others to others.
func TestOwnOrder(t *testing.T) {
	seen := map[int]bool{}
	for n := range 20 {
		ids := lease.IDs{First: 0, Last: 1023}
		first := claim(t, holder(leasetest.NewMemory(leasetest.Objects, "web"), n, ids)).ID
		if again := claim(t, holder(leasetest.NewMemory(leasetest.Rows, "web"), n, lease.IDs{First: 0, Last: 63})).ID; again > 63 {
			t.Errorf("id %d of a range to 63", again)
		}
		seen[first] = true
	}
	if len(seen) < 15 {
		t.Errorf("20 instances begin with %d ids", len(seen))
	}
}
