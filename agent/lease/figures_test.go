package lease_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// scene is what claimants find, and what it may cost them.
type scene struct {
	name      string
	kind      leasetest.Kind
	within    time.Duration // they come, evenly
	claimants int
	there     bool // every id has an item, whose lease has passed long ago
	held      int  // percent of the ids, by others that renew
	released  bool // the others were released a minute ago, at an update of the group
	mean      float64
}

var scenes = []scene{
	{"objects, nothing there", leasetest.Objects, time.Second, 1000, false, 0, false, 2.6},
	{"objects, all there", leasetest.Objects, time.Second, 1000, true, 0, false, 3.9},
	{"objects, all there, released just now", leasetest.Objects, time.Second, 1000, true, 0, true, 3.9},
	{"objects, 90 % held, one at a time", leasetest.Objects, time.Minute, 60, true, 90, false, 3.2},
	{"objects, 90 % held, the rest released just now", leasetest.Objects, time.Minute, 60, true, 90, true, 3.2},
	{"objects, 99 % held, the rest released just now", leasetest.Objects, time.Minute, 8, true, 99, true, 5},
	{"rows, nothing there", leasetest.Rows, time.Second, 1000, false, 0, false, 2.6},
	{"rows, all there", leasetest.Rows, time.Second, 1000, true, 0, false, 3.9},
	{"rows, 90 % held, one at a time", leasetest.Rows, time.Minute, 60, true, 90, false, 2.3},
	{"objects, all at one moment", leasetest.Objects, 0, 1000, false, 0, false, 6},
	{"rows, all at one moment", leasetest.Rows, 0, 1000, false, 0, false, 6},
	{"objects, all there, all at one moment", leasetest.Objects, 0, 1000, true, 0, true, 9},
	{"rows, all there, all at one moment", leasetest.Rows, 0, 1000, true, 0, true, 9},
}

// TestFigures prints what claims cost, in calls of the table of 20 to 40 ms each, over
// the ids 0 to 1023. Whatever there is, no two claimants get one id, and none needs more
// than 40 calls.
func TestFigures(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) { synctest.Test(t, s.play) })
	}
}

func (s scene) play(t *testing.T) {
	m := leasetest.NewMemory(s.kind, "web")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	s.prepare(t, m, random)
	m.Latency(func() time.Duration {
		return 20*time.Millisecond + time.Duration(random.Int64N(int64(20*time.Millisecond)))
	})
	calls, ids := s.claimAll(t, m)
	if len(ids) != s.claimants {
		t.Errorf("%d different ids for %d claimants", len(ids), s.claimants)
	}
	all, worst := 0, 0
	for _, n := range calls {
		all, worst = all+n, max(worst, n)
	}
	mean := float64(all) / float64(s.claimants)
	t.Logf("%-48s %4d claimants: %.2f calls in the mean, at most %d", s.name, s.claimants, mean, worst)
	if mean > s.mean || worst > 40 {
		t.Errorf("%.2f calls in the mean and %d at most, want %.1f and 40", mean, worst, s.mean)
	}
}

// prepare fills the table: items that are free or past their end, and those that others
// have renewed within the last 20 minutes.
func (s scene) prepare(t *testing.T, m *leasetest.Memory, random *rand.Rand) {
	if !s.there {
		return
	}
	begun := time.Now()
	old := map[int]lease.Tenure{}
	for id := range 1024 {
		old[id] = claim(t, holder(m, 10_000+id, lease.IDs{First: id, Last: id}))
	}
	<-time.After(5 * time.Hour)
	others := map[int]*lease.Holder{}
	held := map[int]lease.Tenure{}
	for _, id := range random.Perm(1024) {
		h := holder(m, 20_000+id, lease.IDs{First: id, Last: id})
		if len(held) < 1024*s.held/100 {
			held[id] = claim(t, h)
		} else if s.released {
			others[id] = h
			old[id] = claim(t, h)
		}
		<-time.After(20 * time.Minute / 1024)
	}
	for id, h := range others {
		if err := h.Release(t.Context(), old[id], time.Now().UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(time.Minute)
	t.Logf("prepared in %s", time.Since(begun))
}

// claimAll lets every claimant claim, and returns the calls of each and the ids.
func (s scene) claimAll(t *testing.T, m *leasetest.Memory) (calls []int, ids map[int]int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	ids = map[int]int{}
	for n := range s.claimants {
		counted := &counter{Table: m}
		h := holder(counted, n, lease.IDs{First: 0, Last: 1023})
		wg.Go(func() {
			tenure, err := h.Claim(t.Context())
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, counted.calls)
			if err != nil {
				t.Errorf("claimant %d: %v", n, err)
				return
			}
			ids[tenure.ID]++
		})
		<-time.After(s.within / time.Duration(s.claimants))
	}
	wg.Wait()
	return calls, ids
}

// A scope whose ids are all held is found out within the budget, and the error says why.
func TestNoneLeft(t *testing.T) {
	overTables(t, func(t *testing.T, m *leasetest.Memory) {
		for id := range 100 {
			claim(t, holder(m, 1000+id, lease.IDs{First: id, Last: id}))
		}
		counted := &counter{Table: m}
		_, err := holder(counted, 1, lease.IDs{First: 0, Last: 99, Reserved: []int{3}}).Claim(t.Context())
		var none *lease.NoneError
		if !errors.As(err, &none) || !errors.Is(err, lease.ErrNone) {
			t.Fatalf("claimed: %v", err)
		}
		if counted.calls > 40 || none.Held != 99 || none.Reserved != 1 || none.IDs != 99 {
			t.Errorf("%d calls, %+v", counted.calls, none)
		}
		if want := "no node id can be had of 99: 99 held, 1 reserved"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	})
}
