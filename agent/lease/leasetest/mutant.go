package leasetest

import (
	"context"
	"encoding/json"
	"sync"

	"koboshi/agent/lease"
)

// Mutant breaks one rule of whatever code runs in a schedule, by what it reads, writes or
// finds on its disk. The zero Mutant breaks none.
type Mutant string

// The mutants.
const (
	NoFloor          Mutant = "the floor is ignored"
	NoGen            Mutant = "a claim keeps the generation"
	NoNonce          Mutant = "all processes have one nonce"
	LooseRenewal     Mutant = "a renewal is conditional on gen and nonce only"
	OwnValues        Mutant = "after a read the own values count"
	Unconfirmed      Mutant = "a bound is used before it is confirmed"
	Deleted          Mutant = "the item is deleted at release"
	LowMark          Mutant = "the mark is lower than what was used"
	MarkNotDurable   Mutant = "the mark is not durable"
	ReleaseForgotten Mutant = "releasing is not durable"
	Nothing          Mutant = "nothing is broken" // but all that breaks the others is there
)

// Mutants are those that break something.
func Mutants() []Mutant {
	return []Mutant{NoFloor, NoGen, NoNonce, LooseRenewal, OwnValues, Unconfirmed, Deleted, LowMark, MarkNotDurable, ReleaseForgotten}
}

// disk is what a process finds of what the one before it has left.
func (m Mutant) disk(d Disk) Disk {
	var record map[string]any
	if json.Unmarshal([]byte(d.Record), &record) != nil {
		return d
	}
	switch {
	case m == MarkNotDurable && record["phase"] == string(lease.Stopped):
		record["mark_ms"] = -1
	case m == ReleaseForgotten && record["phase"] == string(lease.Releasing):
		record["phase"] = string(lease.Stopped)
	default:
		return d
	}
	data, _ := json.Marshal(record)
	return Disk{string(data)}
}

// broken is the table of a process that breaks a rule.
type broken struct {
	table  *Memory
	mutant Mutant

	mu    sync.Mutex
	asked map[int]lease.Item // by id, the last write of the process
}

func (b *broken) ask(next lease.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[next.ID] = next
}

func (b *broken) get(ctx context.Context, id int) (lease.Stored, error) {
	s, err := b.table.Get(ctx, id)
	return b.seen(s), err
}

func (b *broken) list(ctx context.Context, shard int) ([]lease.Stored, error) {
	found, err := b.table.List(ctx, shard)
	for i, s := range found {
		found[i] = b.seen(s)
	}
	return found, err
}

// seen is what the process makes of what it reads.
func (b *broken) seen(s lease.Stored) lease.Stored {
	if s.Item == nil {
		return s
	}
	b.mu.Lock()
	i, asked := *s.Item, b.asked[s.ID]
	b.mu.Unlock()
	own := asked.Nonce == i.Nonce && i.State == lease.Held
	switch {
	case b.mutant == NoFloor && !own:
		i.HW, i.Slack = 0, 0
	case b.mutant == NoGen && own:
		i.Gen = asked.Gen
	case b.mutant == OwnValues && own && asked.Gen == i.Gen:
		i.HW = max(i.HW, asked.HW)
	}
	s.Item = &i
	return s
}

// unanswered is a swap of which the process hears nothing.
func (b *broken) unanswered(old lease.Stored, next lease.Item) (lease.Stored, error) {
	if b.mutant == Unconfirmed && old.Item != nil && old.Item.Gen == next.Gen && next.State == lease.Held {
		return lease.Stored{ID: old.ID, Exists: true, Item: &next}, nil
	}
	return lease.Stored{ID: old.ID}, ErrLostAnswer
}

// swap is a write that arrives.
func (b *broken) swap(ctx context.Context, old lease.Stored, next lease.Item) (lease.Stored, error) {
	if b.mutant == "" {
		return b.table.Swap(ctx, old, next)
	}
	is, err := b.table.Get(ctx, old.ID)
	if err != nil {
		return is, err
	}
	switch {
	case old.Item == nil || is.Item == nil:
	case b.mutant == LooseRenewal && old.Item.Gen == next.Gen && next.State == lease.Held:
		if is.Item.Gen == next.Gen && is.Item.Nonce == next.Nonce && is.Item.State == lease.Held {
			old = is
		}
	case b.same(old, is):
		old = is
	default:
		return lease.Stored{ID: old.ID}, lease.ErrChanged
	}
	return b.store(ctx, old, next)
}

// same reports whether the process still has what it read, before it was broken.
func (b *broken) same(old, is lease.Stored) bool {
	seen := b.seen(is)
	return *seen.Item == *old.Item
}

func (b *broken) store(ctx context.Context, old lease.Stored, next lease.Item) (lease.Stored, error) {
	asked := next
	switch {
	case b.mutant == NoGen:
		next.Gen = 1
	case b.mutant == LowMark && next.State == lease.Free:
		next.HW = max(next.HW-5000, 0)
	case b.mutant == Deleted && next.State == lease.Free:
		b.table.Drop(next.ID)
		return lease.Stored{ID: next.ID}, nil
	}
	s, err := b.table.Swap(ctx, old, next)
	if s.Item != nil && err == nil {
		s.Item = &asked
	}
	return s, err
}
