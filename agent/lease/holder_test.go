package lease_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

const (
	leaseMillis = lease.Millis(time.Hour / time.Millisecond)
	slackMillis = lease.Millis(5 * time.Minute / time.Millisecond)
)

// tables are both kinds, in memory.
var tables = map[string]leasetest.Kind{"objects": leasetest.Objects, "rows": leasetest.Rows}

// overTables runs a test over each kind, in a bubble of its own time.
func overTables(t *testing.T, test func(t *testing.T, m *leasetest.Memory)) {
	for name, kind := range tables {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, leasetest.NewMemory(kind, "web")) })
		})
	}
}

// holder is the n-th instance.
func holder(table lease.Table, n int, ids lease.IDs) *lease.Holder {
	nonce := lease.Nonce{0: byte(n), 1: byte(n >> 8), 15: 1}
	return &lease.Holder{
		Table: table, Scope: "web", Claimant: lease.Claimant{Owner: fmt.Sprintf("i-%017x", n), Nonce: nonce},
		Terms: lease.Terms{Lease: leaseMillis, Slack: slackMillis}, IDs: ids, Wait: 30 * time.Second, Now: time.Now,
	}
}

func claim(t *testing.T, h *lease.Holder, avoid ...int) lease.Tenure {
	t.Helper()
	tenure, err := h.Claim(t.Context(), avoid...)
	if err != nil {
		t.Fatal(err)
	}
	return tenure
}

// One id passes from hand to hand: its generation grows, and each floor is the mark of
// the one before.
func TestLifeOfAnID(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		one := lease.IDs{First: 7, Last: 7}
		first := holder(m, 1, one)
		tenure := claim(t, first)
		begun := time.Now().UnixMilli()
		if tenure.Gen != 1 || tenure.Floor != -1 || tenure.Until != begun+leaseMillis {
			t.Fatalf("the first tenure is %+v", tenure)
		}
		<-time.After(20 * time.Minute)
		before := m.Calls("")
		tenure, err := first.Renew(t.Context(), tenure)
		if err != nil || tenure.Until != time.Now().UnixMilli()+leaseMillis {
			t.Fatalf("renewed to %+v: %v", tenure, err)
		}
		if n := m.Calls("") - before; n != 1 {
			t.Errorf("a renewal took %d calls", n)
		}
		second := holder(m, 2, one)
		if _, err := second.Claim(t.Context()); !errors.Is(err, lease.ErrNone) {
			t.Fatalf("claimed while held: %v", err)
		}
		mark := time.Now().UnixMilli()
		if err := first.Release(t.Context(), tenure, mark); err != nil {
			t.Fatal(err)
		}
		before = m.Calls("")
		if err := first.Release(t.Context(), tenure, mark); err != nil || m.Calls("")-before != 1 {
			t.Errorf("released again, with %d calls: %v", m.Calls("")-before, err)
		}
		if _, err := first.Renew(t.Context(), tenure); !errors.Is(err, lease.ErrLost) {
			t.Errorf("renewed after the release: %v", err)
		}
		if next := claim(t, second); next.Gen != 2 || next.Floor != mark {
			t.Errorf("the second tenure is %+v, want the floor %d", next, mark)
		}
		<-time.After(time.Hour + 5*time.Minute + time.Millisecond)
		if third := claim(t, holder(m, 3, one)); third.Gen != 3 || third.Floor != mark+leaseMillis+slackMillis {
			t.Errorf("the third tenure is %+v", third)
		}
	})
}
