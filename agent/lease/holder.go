package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Holder claims, renews and releases ids of one scope for one instance. Its maker sets
// every field that it has.
type Holder struct {
	Table    Table
	Scope    string
	Claimant Claimant
	Terms    Terms
	IDs      IDs
	Wait     time.Duration // for a mark ahead of the clock, before another id is tried
	Now      func() time.Time

	mu    sync.Mutex
	known Stored // the tenure's item, as a write of this process left it; no item = not known
	doubt *claim // a claim whose answer is open still
}

// IDs are those that a scope gives.
type IDs struct {
	First, Last int
	Reserved    []int // never given
	Lowest      bool  // the lowest that can be had, in place of one chosen by the instance's id
}

// Errors of a [Holder]. Every other one is the table's, after which nothing is known but
// what a read has shown.
var (
	ErrNone  = errors.New("no node id can be had")                   // each is held, or not an item: [NoneError]
	ErrClock = errors.New("this machine's clock is not the table's") // more than two minutes apart
)

// apart is how far the table's clock and this machine's may differ.
const apart = 2 * time.Minute

// Budgets of calls of the table.
const (
	claimCalls = 40
	tripCalls  = 8 // of a renewal, or a release: a call is repeated only after a read
)

// errSpent is a budget of calls that is used up while others change the same item.
var errSpent = errors.New("others change the item all the time")

// trip makes the calls of one operation: it counts them, and holds the table's clock
// against this machine's.
type trip struct {
	*Holder
	left int
	off  error // ErrClock, once an answer has shown it
}

func (t *trip) millis() Millis { return t.Now().UnixMilli() }

func (t *trip) get(ctx context.Context, id int) (Stored, error) {
	if t.left--; t.left < 0 {
		return Stored{}, errSpent
	}
	before := t.Now()
	s, err := t.Table.Get(ctx, id)
	t.compare(before, s.Date)
	return s, err
}

func (t *trip) swap(ctx context.Context, old Stored, next Item) (Stored, error) {
	if t.left--; t.left < 0 {
		return Stored{}, errSpent
	}
	before := t.Now()
	s, err := t.Table.Swap(ctx, old, next)
	t.compare(before, s.Date)
	return s, err
}

func (t *trip) list(ctx context.Context, shard int) ([]Stored, error) {
	t.left--
	before := t.Now()
	found, err := t.Table.List(ctx, shard)
	if len(found) > 0 {
		t.compare(before, found[0].Date)
	}
	return found, err
}

// compare holds the table's clock against this machine's, which read before when the
// question was asked: an answer may take long.
func (t *trip) compare(before, table time.Time) {
	if table.IsZero() {
		return
	}
	if off := ahead(table, before, t.Now()); off.Abs() > apart {
		t.off = fmt.Errorf("%w: it is %s %s", ErrClock, inWords(off), t.Table)
	}
}

// ahead is how far this machine's clock, which read before and after while the table
// answered with its own, is ahead of that at least; below 0 = behind.
func ahead(table, before, after time.Time) time.Duration {
	switch {
	case table.Before(before):
		return before.Sub(table)
	case table.After(after):
		return after.Sub(table)
	}
	return 0
}

// inWords is a difference of clocks for people, such as "1h0m0s ahead of".
func inWords(off time.Duration) string {
	if off < 0 {
		return fmt.Sprintf("%s behind", -off.Round(time.Second))
	}
	return fmt.Sprintf("%s ahead of", off.Round(time.Second))
}

// stamp is an item with the time of its writing.
func (t *trip) stamp(i Item) Item {
	i.Written = t.Now().UTC().Truncate(time.Second)
	return i
}

// remember keeps what a write has left, so that the next one needs no read.
func (h *Holder) remember(s Stored) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = s
}

// recall is what is there of the tenure as far as this process knows; without an item it
// does not.
func (h *Holder) recall(t Tenure) Stored {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known.Item == nil || h.known.ID != t.ID || !t.Mine(*h.known.Item) {
		return Stored{}
	}
	return h.known
}
