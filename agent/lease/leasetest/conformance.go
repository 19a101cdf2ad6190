package leasetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"koboshi/agent/lease"
)

// Conformance checks a table against the contract of [lease.Table]. open makes an empty
// one, and is called once for each group of checks; what it returns is the table of a
// scope in it.
//
// Two things no server but AWS itself can show. dynalite has no ALL_OLD, so its answer to
// a write that is refused does not say what is there; that is permitted, and read then.
// And no server answers 409: the mock does.
func Conformance(t *testing.T, open func(t *testing.T) func(scope string) lease.Table) {
	for name, check := range map[string]func(*testing.T, func(string) lease.Table){
		"nothing there": nothingThere, "swaps": swaps, "each field": eachField, "gone": gone, "foreign": foreign,
		"shards": shards, "scopes": scopes, "races": races, "holders": holders, "probe": probe, "histories": histories,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

// hour is the moment n hours from now.
func hour(n int) lease.Millis { return time.Now().UnixMilli() + int64(n)*time.Hour.Milliseconds() }

// item is the first generation of an id.
func item(scope string, id int) lease.Item {
	return lease.Item{Schema: 1, Scope: scope, ID: id, Gen: 1, State: lease.Held, Owner: "i-0123456789abcdef0", Nonce: lease.Nonce{1},
		HW: hour(1), Slack: 300_000, Written: time.Now().UTC().Truncate(time.Second)}
}

// put swaps and ends the test where that fails.
func put(t *testing.T, table lease.Table, old lease.Stored, next lease.Item) lease.Stored {
	t.Helper()
	stored, err := table.Swap(t.Context(), old, next)
	if err != nil {
		t.Fatalf("swap id %d: %v", old.ID, err)
	}
	if !stored.Exists || stored.ID != next.ID || stored.Item == nil || *stored.Item != next || stored.Bad != nil {
		t.Fatalf("swap id %d returned %+v, want %+v", old.ID, stored, next)
	}
	checkDate(t, stored)
	return stored
}

// holds reads an id and compares it, nil = nothing is there.
func holds(t *testing.T, table lease.Table, id int, want *lease.Item) lease.Stored {
	t.Helper()
	s, err := table.Get(t.Context(), id)
	switch {
	case err != nil:
		t.Fatalf("get id %d: %v", id, err)
	case s.ID != id || s.Bad != nil || s.Exists != (want != nil) || (s.Item != nil) != (want != nil):
		t.Fatalf("get id %d: %+v, want %+v", id, s, want)
	case want != nil && *s.Item != *want:
		t.Fatalf("get id %d: %+v, want %+v", id, *s.Item, *want)
	}
	checkDate(t, s)
	return s
}

// checkDate holds the table's clock, where it tells that, against the test's.
func checkDate(t *testing.T, s lease.Stored) {
	t.Helper()
	for what, at := range map[string]time.Time{"Date": s.Date, "Modified": s.Modified} {
		if !at.IsZero() && time.Since(at).Abs() > 10*time.Minute {
			t.Errorf("id %d has the %s %s, now is %s", s.ID, what, at, time.Now())
		}
	}
}

// refused swaps and ends the test unless nothing was stored for certain.
func refused(t *testing.T, table lease.Table, old lease.Stored, next lease.Item, what string) {
	t.Helper()
	s, err := table.Swap(t.Context(), old, next)
	if !errors.Is(err, lease.ErrChanged) {
		t.Fatalf("%s: got %v, want %v", what, err, lease.ErrChanged)
	}
	if is, err := table.Get(t.Context(), old.ID); err != nil || s.Exists && (s.Item == nil || is.Item == nil || *s.Item != *is.Item) {
		t.Errorf("%s: the answer says that %+v is there, and %+v is (%v)", what, s, is, err)
	}
}

func list(t *testing.T, table lease.Table, shard int) (ids []int) {
	t.Helper()
	found, err := table.List(t.Context(), shard)
	if err != nil {
		t.Fatalf("list shard %d: %v", shard, err)
	}
	for _, s := range found {
		if !s.Exists || s.Bad != nil || s.Item != nil && s.Item.ID != s.ID {
			t.Errorf("listed %+v", s)
		}
		checkDate(t, s)
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return ids
}

func nothingThere(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	for _, id := range []int{0, 7, 1023, lease.MaxID} {
		holds(t, table, id, nil)
	}
	if ids := list(t, table, 0); len(ids) > 0 {
		t.Errorf("listed %v", ids)
	}
	if table.String() == "" || table.ShardSize() < 1 {
		t.Errorf("%q, shards of %d", table, table.ShardSize())
	}
}

// swaps goes through the life of an id: what a read and what a swap returned serve for
// the next swap, and nothing older does.
func swaps(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	absent := holds(t, table, 7, nil)
	first := item("web", 7)
	s1 := put(t, table, absent, first)
	read := holds(t, table, 7, &first)
	other := first
	other.Nonce = lease.Nonce{2}
	refused(t, table, absent, other, "over nothing, where something is")
	second := first
	second.HW += 1000
	s2 := put(t, table, s1, second)
	refused(t, table, s1, other, "over what was swapped out")
	refused(t, table, read, other, "over what was read before")
	holds(t, table, 7, &second)
	third := second
	third.State, third.HW, third.Slack = lease.Free, first.HW, 0
	s3 := put(t, table, holds(t, table, 7, &second), third)
	refused(t, table, s2, other, "over a lease that was released")
	fourth := third
	fourth.State, fourth.Gen, fourth.HW, fourth.Nonce = lease.Held, 2, hour(2), lease.Nonce{3}
	put(t, table, s3, fourth)
	refused(t, table, read, second, "a renewal that arrives late")
	refused(t, table, absent, first, "a first claim that arrives late")
	holds(t, table, 7, &fourth)
	if ids := list(t, table, 0); !slices.Equal(ids, []int{7}) {
		t.Errorf("listed %v", ids)
	}
}

// eachField: a change of any one of them is a change.
func eachField(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	for id, change := range []func(*lease.Item){
		func(i *lease.Item) { i.Gen++ },
		func(i *lease.Item) { i.Nonce[15]++ },
		func(i *lease.Item) { i.HW++ },
		func(i *lease.Item) { i.Slack++ },
		func(i *lease.Item) { i.State = lease.Free },
	} {
		first := item("web", id)
		s := put(t, table, holds(t, table, id, nil), first)
		changed := first
		change(&changed)
		put(t, table, s, changed)
		third := first
		third.HW += 5000
		refused(t, table, s, third, "over an item of which one field has changed")
		holds(t, table, id, &changed)
	}
}

// gone: an item that was read, and is not there any more, is none.
func gone(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	s := put(t, table, holds(t, table, 7, nil), item("web", 7))
	elsewhere := item("web", 8)
	s.ID, s.Item = 8, &elsewhere
	next := elsewhere
	next.HW++
	refused(t, table, s, next, "over an item that is gone")
	holds(t, table, 8, nil)
}

// foreign: an item is stored in its own place only.
func foreign(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	absent := holds(t, table, 7, nil)
	broken := item("web", 7)
	broken.Gen = 0
	for what, i := range map[string]lease.Item{"another id": item("web", 8), "another scope": item("api", 7), "what no item is": broken} {
		if _, err := table.Swap(t.Context(), absent, i); err == nil {
			t.Errorf("%s was stored", what)
		}
	}
	holds(t, table, 7, nil)
	holds(t, table, 8, nil)
}

// shards: a list has one shard, and all of it.
func shards(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	size := table.ShardSize()
	var want []int
	for id := size - 1; id <= 2*size; id++ {
		put(t, table, lease.Stored{ID: id}, item("web", id))
		if id/size == 1 {
			want = append(want, id)
		}
	}
	last := lease.MaxID
	put(t, table, lease.Stored{ID: last}, item("web", last))
	for shard, want := range map[int][]int{0: {size - 1}, 1: want, 2: {2 * size}, 3: nil, last / size: {last}} {
		if ids := list(t, table, shard); !slices.Equal(ids, want) {
			t.Errorf("shard %d lists %v, want %v", shard, ids, want)
		}
	}
}

// scopes: no scope has anything of another one, even if its name begins the same.
func scopes(t *testing.T, open func(string) lease.Table) {
	web, webs := open("web"), open("web-2")
	of := item("web-2", 7)
	put(t, webs, lease.Stored{ID: 7}, of)
	holds(t, web, 7, nil)
	if ids := list(t, web, 0); len(ids) > 0 {
		t.Errorf("web lists %v of web-2", ids)
	}
	put(t, web, lease.Stored{ID: 7}, item("web", 7))
	holds(t, webs, 7, &of)
}

// racers is how many write at once.
const racers = 12

// probe: a table that is as it should be has nothing found, twice, and no id.
func probe(t *testing.T, open func(string) lease.Table) {
	table, ok := open("web").(lease.Prober)
	if !ok {
		t.Fatal("it cannot be tried out")
	}
	for range 2 {
		found := lease.Probe(t.Context(), table, time.Now)
		for _, c := range found.Checks {
			if c.Found != "" && c.Needs != "" {
				t.Errorf("%s: %s", c.What, c.Found)
			}
		}
		if len(found.Checks) != 6 {
			t.Errorf("%d checks: %+v", len(found.Checks), found.Checks)
		}
	}
	if ids := list(t, table, 0); len(ids) > 0 {
		t.Errorf("listed %v", ids)
	}
	holds(t, table, 0, nil)
}

// races: of those who write over the same, whether there is something or not, exactly one
// does.
func races(t *testing.T, open func(string) lease.Table) {
	table := open("web")
	s := lease.Stored{ID: 7}
	for round := range 6 {
		var won sync.Map
		var wg sync.WaitGroup
		for n := range racers {
			wg.Go(func() {
				next := item("web", 7)
				next.Gen, next.Nonce, next.HW = int64(round)+1, lease.Nonce{byte(round), byte(n), 1}, hour(1)+int64(n)
				stored, err := table.Swap(t.Context(), s, next)
				if err == nil {
					won.Store(n, stored)
				} else if !errors.Is(err, lease.ErrChanged) && !errors.Is(err, lease.ErrBusy) {
					t.Errorf("racer %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		var winners []lease.Stored
		won.Range(func(_, stored any) bool {
			winners = append(winners, stored.(lease.Stored))
			return true
		})
		if len(winners) != 1 {
			t.Fatalf("round %d has %d winners of %d", round, len(winners), racers)
		}
		s = holds(t, table, 7, winners[0].Item)
	}
}

// holders claim at once, renew, release and claim again: no id has two, and no floor is
// below what was promised before.
func holders(t *testing.T, open func(string) lease.Table) {
	const n = 16
	table := open("web")
	claimed := claimAll(t, table, n, 0)
	for i := range claimed {
		c := &claimed[i]
		before := c.tenure
		renewed, err := c.holder.Renew(t.Context(), before)
		if err != nil || renewed.Until < before.Until || renewed.Gen != before.Gen {
			t.Fatalf("renewed %+v to %+v: %v", before, renewed, err)
		}
		if confirmed, err := Confirm(t.Context(), table, before); err != nil || confirmed != renewed {
			t.Errorf("confirmed %+v (%v), want %+v", confirmed, err, renewed)
		}
		if err := c.holder.Release(t.Context(), renewed, renewed.Until); err != nil {
			t.Fatalf("release %+v: %v", renewed, err)
		}
		if _, err := Confirm(t.Context(), table, renewed); !errors.Is(err, lease.ErrLost) {
			t.Errorf("confirmed after the release: %v", err)
		}
		c.tenure = renewed
	}
	for i, c := range claimAll(t, table, n, n) {
		if was := claimed[i].tenure; c.tenure.Gen != was.Gen+1 || c.tenure.Floor != was.Until || c.tenure.Until <= was.Until {
			t.Errorf("%+v follows %+v", c.tenure, was)
		}
	}
}

// claimed is a holder and what it got.
type claimed struct {
	holder *lease.Holder
	tenure lease.Tenure
}

// claimAll lets n holders claim n ids at once, and returns them in the order of the ids.
func claimAll(t *testing.T, table lease.Table, n, from int) []claimed {
	t.Helper()
	all := make([]claimed, n)
	var wg sync.WaitGroup
	for i := range all {
		owner := fmt.Sprintf("i-%017x", from+i)
		h := &lease.Holder{Table: table, Scope: "web", Claimant: lease.Claimant{Owner: owner, Nonce: lease.Nonce{byte(from + i), 1}},
			Terms: lease.Terms{Lease: hour(1) - hour(0), Slack: 1000}, IDs: lease.IDs{First: 0, Last: n - 1}, Wait: 30 * time.Second, Now: time.Now}
		wg.Go(func() {
			all[i].holder = h
			tenure, err := h.Claim(t.Context())
			for more := 0; errors.Is(err, lease.ErrNone) && more < 5; more++ { // so many as there are ids: one claim may not look at each
				tenure, err = h.Claim(t.Context())
			}
			if all[i].tenure = tenure; err != nil {
				t.Errorf("%s: %v", owner, err)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b claimed) int { return cmp.Compare(a.tenure.ID, b.tenure.ID) })
	for i, c := range all {
		if c.tenure.ID != i {
			t.Fatalf("id %d is where %d should be", c.tenure.ID, i)
		}
	}
	return all
}
