package lease_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

var (
	whole  bucket.Range
	always bucket.Condition
	empty  = strings.NewReader("")
)

// The objects of a scope have their place, and a claimant takes no other for one.
func TestObjectKeys(t *testing.T) {
	b := buckettest.NewMemory()
	table := lease.NewObjects(b, "web", "s3://releases/apps/web", time.Now)
	tenure := claim(t, holder(table, 1, lease.IDs{First: 300, Last: 300}))
	if _, _, err := b.Get(t.Context(), "nodes/web/0001/0000300.json", whole); err != nil || tenure.ID != 300 {
		t.Errorf("id %d: %v", tenure.ID, err)
	}
	for _, key := range []string{"nodes/web/0001/probe-1", "nodes/web/0001/301.json", "nodes/web/0001/0000001.json", "nodes/web/0001/1048832.json"} {
		if _, err := b.Put(t.Context(), key, empty, 0, always); err != nil {
			t.Fatal(err)
		}
	}
	found, err := table.List(t.Context(), 1)
	if err != nil || len(found) != 1 || found[0].ID != 300 || !found[0].Exists {
		t.Errorf("found %+v: %v", found, err)
	}
	if _, err := holder(table, 2, lease.IDs{First: 300, Last: 300}).Claim(t.Context()); !errors.Is(err, lease.ErrNone) {
		t.Errorf("claimed while held: %v", err)
	}
}
