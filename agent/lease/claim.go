package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"koboshi/artifacts/pace"
)

const (
	maxLosses = 2 // to others, before a shard is listed again, or the next one
	perTry    = 3 // calls: a read, a swap, and a read where its answer leaves anything open
	window    = 8 // ids whose items are about as old, of which each instance begins with another
)

// claim is one attempt: what it writes, and the tenure if it is stored.
type claim struct {
	next   Item
	tenure Tenure
}

// Claim takes an id that can be had. Those to avoid, such as one that this instance held
// before a power cut, are taken only where there is no other. Errors are ErrNone as a
// [NoneError], ErrClock, and the table's.
func (h *Holder) Claim(ctx context.Context, avoid ...int) (Tenure, error) {
	s := &search{trip: trip{Holder: h, left: claimCalls}, avoid: avoid, done: map[int]reason{}, last: map[int]Stored{}, busy: map[int]bool{}, order: map[int]float64{}}
	t, err := s.claim(ctx)
	if err != nil {
		h.remember(Stored{})
		return Tenure{}, err
	}
	return t, nil
}

// reason is why an id was not taken.
type reason int

const (
	held reason = iota
	bad
	tooFar
	lost
)

// search is one look for an id that can be had.
type search struct {
	trip
	avoid []int
	done  map[int]reason  // ids that cannot be had, and why
	last  map[int]Stored  // ids that are taken only where there is no other
	order map[int]float64 // ids in the order that this instance has for itself
	busy  map[int]bool    // ids that a list shows as held, and renewed within a lease
}

// errNext is an id that cannot be had: the search goes on.
var errNext = errors.New("the next id")

func (s *search) claim(ctx context.Context) (Tenure, error) {
	if t, ok, err := s.settle(ctx); ok || err != nil {
		return t, err
	}
	t, err := s.shards(ctx)
	if !errors.Is(err, errNext) {
		return t, err
	}
	for _, id := range s.lastIDs() {
		if s.left < perTry {
			break
		}
		if t, err = s.try(ctx, s.last[id], true); !errors.Is(err, errNext) {
			return t, err
		}
	}
	return Tenure{}, s.none()
}

// settle looks at an earlier claim of this process whose answer was lost.
func (s *search) settle(ctx context.Context) (Tenure, bool, error) {
	s.mu.Lock()
	open := s.doubt
	s.mu.Unlock()
	if open == nil {
		return Tenure{}, false, nil
	}
	found, err := s.get(ctx, open.tenure.ID)
	if err = cmp.Or(err, s.off); err != nil {
		return Tenure{}, false, fmt.Errorf("read node id %d: %w", open.tenure.ID, err)
	}
	t, mine := s.mine(*open, found)
	if mine {
		t, err = s.taken(ctx, t, found)
	}
	return t, mine, err
}

// shards looks for an id that is likely to be had, and then for any other.
func (s *search) shards(ctx context.Context) (Tenure, error) {
	t, err := s.round(ctx, func(c Stored) bool { return !s.busy[c.ID] })
	if errors.Is(err, errNext) && len(s.busy) > 0 {
		return s.round(ctx, func(c Stored) bool { return s.busy[c.ID] })
	}
	return t, err
}

// round goes from shard to shard, and round again as long as one was left with ids that
// nobody has looked at.
func (s *search) round(ctx context.Context, which func(Stored) bool) (Tenure, error) {
	size := s.Table.ShardSize()
	first, n := s.IDs.First/size, s.IDs.Last/size-s.IDs.First/size+1
	start := 0
	if !s.IDs.Lowest {
		start = int(pace.Share(s.Claimant.Owner, -1) * float64(n))
	}
	for again, open := 0, true; open; again++ {
		open = false
		for i := range n {
			if s.left < 1+perTry+s.reserve() {
				return Tenure{}, errNext
			}
			t, more, err := s.shard(ctx, first+(start+i)%n, max(1, maxLosses>>again), which)
			if !errors.Is(err, errNext) {
				return t, err
			}
			open = open || more
		}
	}
	return Tenure{}, errNext
}

// shard lists one shard and tries its ids. more means that there are some that it has
// not tried.
func (s *search) shard(ctx context.Context, shard, tries int, which func(Stored) bool) (t Tenure, more bool, err error) {
	found, err := s.list(ctx, shard)
	if err = cmp.Or(err, s.off); err != nil {
		return Tenure{}, false, fmt.Errorf("list node ids: %w", err)
	}
	candidates := slices.DeleteFunc(s.candidates(shard, found), func(c Stored) bool { return !which(c) })
	for losses := 0; len(candidates) > 0 && losses < tries; losses++ {
		if s.left < perTry+s.reserve() {
			return Tenure{}, true, errNext
		}
		i := s.pick(candidates, losses)
		t, err = s.try(ctx, candidates[i], false)
		if !errors.Is(err, errNext) {
			return t, false, err
		}
		candidates = slices.Delete(candidates, i, i+1)
	}
	return Tenure{}, len(candidates) > 0, errNext
}

// pick is which of the candidates, in their order, comes next. The lowest is everybody's:
// after each loss one of twice as many is taken.
func (s *search) pick(candidates []Stored, losses int) int {
	if !s.IDs.Lowest {
		return 0
	}
	few := candidates[:min(len(candidates), 1<<losses)]
	first := slices.MinFunc(few, func(a, b Stored) int { return cmp.Compare(s.share(a.ID), s.share(b.ID)) })
	return slices.IndexFunc(few, func(c Stored) bool { return c.ID == first.ID })
}

// share puts the ids into an order that each instance has for itself.
func (s *search) share(id int) float64 {
	share, ok := s.order[id]
	if !ok {
		share = pace.Share(s.Claimant.Owner, id)
		s.order[id] = share
	}
	return share
}

// candidates are the ids of a shard that may be had, the likeliest first: those without
// an item, those that seem to be free or that nobody has renewed for a whole lease, and
// the others, the oldest first.
func (s *search) candidates(shard int, found []Stored) []Stored {
	size := s.Table.ShardSize()
	listed := map[int]Stored{}
	for _, f := range found {
		listed[f.ID] = f
	}
	now := s.Now()
	var out []Stored
	for id := max(s.IDs.First, shard*size); id <= min(s.IDs.Last, (shard+1)*size-1); id++ {
		c, ok := listed[id]
		if !ok {
			c.ID = id
		}
		if s.settled(c) {
			continue
		}
		if delete(s.busy, id); s.rank(c, now) == unlikely {
			s.busy[id] = true
		}
		out = append(out, c)
	}
	s.sort(out, now)
	return out
}

// settled reports whether nothing is to be tried with an id now.
func (s *search) settled(c Stored) bool {
	_, known := s.done[c.ID]
	_, later := s.last[c.ID]
	switch {
	case known, later, slices.Contains(s.IDs.Reserved, c.ID):
		return true
	case slices.Contains(s.avoid, c.ID):
		s.last[c.ID] = c
		return true
	}
	why, no := s.refused(c)
	if no {
		s.done[c.ID] = why
	}
	return no
}

// refused reports whether an id cannot be had, by what was read of it.
func (s *search) refused(c Stored) (reason, bool) {
	switch {
	case c.Bad != nil:
		return bad, true
	case c.Item == nil:
		return 0, false
	case !c.Item.Takeable(s.millis()):
		return held, true
	case c.Item.Gen >= maxGen:
		return bad, true
	case max(s.millis(), c.Item.Floor())+s.Terms.Lease > s.millis()+(farthest-2*apart).Milliseconds():
		return tooFar, true
	}
	return 0, false
}

func (s *search) sort(cs []Stored, now time.Time) {
	own := func(a, b Stored) int { return cmp.Compare(s.share(a.ID), s.share(b.ID)) }
	if s.IDs.Lowest {
		own = func(a, b Stored) int { return cmp.Compare(a.ID, b.ID) }
	}
	slices.SortFunc(cs, func(a, b Stored) int {
		rank := s.rank(a, now)
		order := own(a, b)
		if rank == unlikely && !s.IDs.Lowest {
			order = a.Modified.Compare(b.Modified)
		}
		return cmp.Or(cmp.Compare(rank, s.rank(b, now)), order)
	})
	old := slices.IndexFunc(cs, func(c Stored) bool { return s.rank(c, now) == unlikely })
	if old < 0 {
		return
	}
	for part := range slices.Chunk(cs[old:], window) {
		slices.SortFunc(part, own)
	}
}

// Ranks of candidates.
const (
	absent = iota // two calls
	likely
	unlikely
)

// rank is how likely an id can be had. Where the lowest is wanted, one is as good without
// an item as with one.
func (s *search) rank(c Stored, now time.Time) int {
	renewed := time.Duration(s.Terms.Lease+s.Terms.Slack) * time.Millisecond
	switch {
	case !c.Exists && !s.IDs.Lowest:
		return absent
	case !c.Exists, c.Item != nil, c.State == Free, !c.Modified.IsZero() && now.Sub(c.Modified) > renewed:
		return likely
	}
	return unlikely
}

// try reads an id, unless it was read, and takes it if it can be had. anyway takes one
// whose mark is ahead of the clock. The error is errNext where the id cannot be had.
func (s *search) try(ctx context.Context, c Stored, anyway bool) (Tenure, error) {
	if c.Exists && c.Item == nil && c.Bad == nil {
		found, err := s.get(ctx, c.ID)
		if err = cmp.Or(err, s.off); err != nil {
			return Tenure{}, fmt.Errorf("read node id %d: %w", c.ID, err)
		}
		if c = found; !c.Exists {
			c.Bad = fmt.Errorf("%w: it was deleted", ErrItem)
		}
	}
	if why, no := s.refused(c); no {
		s.done[c.ID] = why
		return Tenure{}, errNext
	}
	if c.Item != nil && !anyway && c.Item.Floor() > s.millis()+s.Wait.Milliseconds() {
		s.last[c.ID] = c
		return Tenure{}, errNext
	}
	return s.take(ctx, c)
}

// take writes the claim of an id.
func (s *search) take(ctx context.Context, old Stored) (Tenure, error) {
	next, tenure, err := s.Claimant.Claim(s.Scope, old.ID, old.Item, s.Terms, s.millis())
	if err != nil {
		s.done[old.ID] = held // a moment ago it was not: the clock was set back
		return Tenure{}, errNext
	}
	c := claim{s.stamp(next), tenure}
	found, failed := s.swap(ctx, old, c.next)
	if failed == nil {
		return s.taken(ctx, tenure, found)
	}
	if !errors.Is(failed, ErrChanged) || !found.Exists {
		if found, err = s.get(ctx, old.ID); err != nil {
			s.wonder(&c)
			return Tenure{}, fmt.Errorf("claim node id %d: %w, then: %w", old.ID, failed, err)
		}
	}
	if t, mine := s.mine(c, found); mine {
		return s.taken(ctx, t, found)
	}
	if errors.Is(failed, ErrChanged) || errors.Is(failed, ErrBusy) {
		s.done[old.ID] = lost
		return Tenure{}, errNext
	}
	s.wonder(&c)
	return Tenure{}, fmt.Errorf("claim node id %d: %w", old.ID, failed)
}

// mine is the tenure of a claim, if what was found is its item.
func (s *search) mine(c claim, found Stored) (Tenure, bool) {
	if found.Item == nil {
		return Tenure{}, false
	}
	t, err := c.tenure.Confirmed(*found.Item)
	return t, err == nil
}

// taken is the tenure of a claim that was stored. Where only the answer has shown that the
// clock is wrong it is given back at once: nothing was used.
func (s *search) taken(ctx context.Context, t Tenure, found Stored) (Tenure, error) {
	s.wonder(nil)
	if s.off != nil {
		s.remember(found)
		return Tenure{}, errors.Join(s.off, s.Release(ctx, t, t.Floor))
	}
	s.remember(found)
	return t, nil
}

// wonder keeps a claim whose answer is open, for the next one.
func (s *search) wonder(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubt = c
}

// reserve is how many calls are kept for the ids that are taken only where there is no
// other.
func (s *search) reserve() int { return min(len(s.last), 2) * perTry }

// lastIDs are the ids that are taken only where there is no other: those to avoid behind
// the others, and the lowest mark first.
func (s *search) lastIDs() []int {
	floor := func(id int) Millis {
		if i := s.last[id].Item; i != nil {
			return i.Floor()
		}
		return 0
	}
	avoided := func(id int) int { return slices.Index(s.avoid, id) }
	return slices.SortedFunc(maps.Keys(s.last), func(a, b int) int {
		return cmp.Or(cmp.Compare(avoided(a), avoided(b)), cmp.Compare(floor(a), floor(b)), cmp.Compare(a, b))
	})
}

// none counts why no id can be had.
func (s *search) none() error {
	e := &NoneError{IDs: s.IDs.Count(), Calls: claimCalls - max(s.left, 0)}
	e.Reserved = s.IDs.Last - s.IDs.First + 1 - e.IDs
	for _, why := range s.done {
		*map[reason]*int{held: &e.Held, bad: &e.Bad, tooFar: &e.Ahead, lost: &e.Lost}[why]++
	}
	for id := range s.busy {
		if _, looked := s.done[id]; !looked {
			e.Held++
		}
	}
	e.Unseen = e.IDs - e.Held - e.Bad - e.Ahead - e.Lost
	return e
}
