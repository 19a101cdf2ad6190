package lease_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// services are the tables of the mock.
var services = map[string]func(url string) lease.Table{
	"s3":       func(url string) lease.Table { return objectsOf(url, "releases")("web") },
	"dynamodb": func(url string) lease.Table { return rowsOf(url, "node-ids")("web") },
}

// crowd is what became of claimants that came at once.
type crowd struct {
	holders map[int]*lease.Holder // by id
	tenures map[int]lease.Tenure
	calls   int
	worst   int
}

// claimAtOnce lets n instances claim ids, as many abreast as where 1,000 come within a
// second, a call takes 15 ms and a claim two. What they cost depends on that, and not on
// how fast the machine is.
func claimAtOnce(t *testing.T, table lease.Table, n int, ids lease.IDs) crowd {
	t.Helper()
	c := crowd{holders: map[int]*lease.Holder{}, tenures: map[int]lease.Tenure{}}
	room := make(chan struct{}, n/32+1)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			counted := &counter{Table: table}
			h := holder(counted, i, ids)
			tenure, err := h.Claim(t.Context())
			mu.Lock()
			defer mu.Unlock()
			c.calls, c.worst = c.calls+counted.calls, max(c.worst, counted.calls)
			if err != nil {
				t.Errorf("claimant %d: %v", i, err)
				return
			}
			if other, twice := c.tenures[tenure.ID]; twice {
				t.Errorf("%+v and %+v", tenure, other)
			}
			c.holders[tenure.ID], c.tenures[tenure.ID] = h, tenure
		})
	}
	wg.Wait()
	return c
}

// TestCrowd lets 250 instances claim the ids 0 to 255 over HTTP, and prints what that costs.
func TestCrowd(t *testing.T) { crowds(t, 250, 255) }

// crowds lets n instances claim ids from 0 on: where nothing is there, and where all was
// released just now.
func crowds(t *testing.T, n, last int) {
	for name, open := range services {
		t.Run(name, func(t *testing.T) {
			table := open(mock(t).URL())
			c := crowd{}
			for _, scene := range []struct {
				what string
				mean float64
			}{{"nothing there", 2.6}, {"all there", 3.9}} {
				c.releaseAll(t)
				c = claimAtOnce(t, table, n, lease.IDs{First: 0, Last: last})
				mean := float64(c.calls) / float64(n)
				t.Logf("%s, %s: %d different ids, %.2f calls in the mean, at most %d", name, scene.what, len(c.tenures), mean, c.worst)
				if len(c.tenures) != n || mean > scene.mean || c.worst > 40 {
					t.Errorf("%s: %d different ids, %.2f calls in the mean, %d at most", scene.what, len(c.tenures), mean, c.worst)
				}
			}
		})
	}
}

func (c crowd) releaseAll(t *testing.T) {
	t.Helper()
	for id, tenure := range c.tenures {
		if err := c.holders[id].Release(t.Context(), tenure, time.Now().UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrowdInTrouble has AWS's troubles, which no other server shows: no id has two
// holders, and what a holder knows is what the table has.
func TestCrowdInTrouble(t *testing.T) {
	for name, open := range services {
		write := map[string]string{"s3": "PutObject", "dynamodb": "PutItem"}[name]
		for what, fault := range map[string]faults.Fault{
			"answers of writes are lost": {Operation: write, Applied: true, Reset: true, Percent: 30},
			"writes are lost":            {Operation: write, Reset: true, Percent: 30},
			"conflicts":                  {Operation: write, Status: http.StatusConflict, Code: "ConditionalRequestConflict", Percent: 30},
			"conflicts that are stored":  {Operation: write, Applied: true, Status: http.StatusConflict, Code: "ConditionalRequestConflict", Percent: 30},
			"throttled":                  {Status: http.StatusServiceUnavailable, Code: "SlowDown", Percent: 20},
			"broken":                     {Applied: true, Status: http.StatusInternalServerError, Code: "InternalError", Percent: 20},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				server := mock(t)
				fault.Service = name
				server.Faults().Add(fault)
				troubled(t, server, open(server.URL()))
			})
		}
	}
}

// troubled claims and renews until each has an id, as a boot does.
func troubled(t *testing.T, server *awstest.Server, table lease.Table) {
	t.Helper()
	const n = 40
	var mu sync.Mutex
	tenures := map[int]lease.Tenure{}
	failed := 0
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			h := holder(table, i, lease.IDs{First: 0, Last: 127})
			tenure, err := h.Claim(t.Context())
			tries := 1
			for ; err != nil && tries < 20; tries++ {
				tenure, err = h.Claim(t.Context())
			}
			if err != nil {
				t.Errorf("claimant %d: %v", i, err)
				return
			}
			if renewed, err := h.Renew(t.Context(), tenure); err == nil {
				tenure = renewed
			}
			mu.Lock()
			defer mu.Unlock()
			failed += tries - 1
			if other, twice := tenures[tenure.ID]; twice {
				t.Errorf("%+v and %+v", tenure, other)
			}
			tenures[tenure.ID] = tenure
		})
	}
	wg.Wait()
	server.Faults().Clear()
	for _, tenure := range tenures {
		confirmed, err := leasetest.Confirm(t.Context(), table, tenure)
		if err != nil || confirmed.Until < tenure.Until || confirmed.Floor != tenure.Floor {
			t.Errorf("%+v is %+v: %v", tenure, confirmed, err)
		}
	}
	t.Logf("%d claims failed before %d got an id", failed, len(tenures))
}

// Histories are linearizable while answers are lost. The S3 client asks again by itself,
// so that a write which is refused may have been stored before: only the tables that ask
// once have answers that are certain.
func TestHistoriesInTrouble(t *testing.T) {
	for name, kind := range tables {
		m := leasetest.NewMemory(kind, "web")
		for skip := range 60 {
			m.Fail(leasetest.Fault{Op: leasetest.Swap, Skip: 3 * skip, Times: 1, Err: leasetest.ErrLostAnswer, Applied: skip%2 == 0})
		}
		h := leasetest.Record(t, m, 6, 40)
		if all, swapped := h.Len(); swapped < 40 || !h.Linearizable() {
			t.Errorf("%s: %d operations, %d of them swaps: not linearizable", name, all, swapped)
		}
	}
}

// A table without conditions has histories that are not: the check is one.
func TestHistoryThatIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := leasetest.NewMemory(leasetest.Objects, "web")
		m.IgnoreConditions()
		m.Latency(func() time.Duration { return time.Millisecond }) // so that they meet
		if leasetest.Record(t, m, 6, 40).Linearizable() {
			t.Error("conditions are ignored, and the history is linearizable")
		}
	})
}
