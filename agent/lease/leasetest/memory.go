package leasetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"koboshi/agent/lease"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

// Kind is which real table a [Memory] is like.
type Kind int

// The kinds of tables.
const (
	Objects Kind = iota // S3: lists have no items, versions stand for bytes, shards of 256
	Rows                // DynamoDB: lists have the items, a write that is refused says what is there, shards of 64
)

// Memory is a table in memory, for any number of goroutines; it may be used under
// testing/synctest. What can go wrong with it is switched on by its other methods.
type Memory struct {
	kind  Kind
	scope string

	mu       sync.Mutex
	rows     map[int]row
	faults   []*Fault
	calls    map[Op]int
	latency  func() time.Duration
	skew     time.Duration
	undated  bool
	down     error
	careless bool
	probe    bool
	watch    func(id int, was, is *lease.Item)
}

type row struct {
	data     []byte
	item     *lease.Item // that a Swap has stored
	version  string      // of the bytes, as an ETag is
	modified time.Time
}

func (m *Memory) row(data []byte, item *lease.Item) row {
	sum := sha256.Sum256(data)
	return row{data, item, hex.EncodeToString(sum[:]), m.now()}
}

var _ lease.Prober = (*Memory)(nil)

// NewMemory is an empty table of a scope that works, at once, with the clock time.Now.
func NewMemory(kind Kind, scope string) *Memory {
	return &Memory{kind: kind, scope: scope, rows: map[int]row{}, calls: map[Op]int{}}
}

// Latency makes every call take so long: half of it each way.
func (m *Memory) Latency(of func() time.Duration) { m.set(func() { m.latency = of }) }

// Skew makes the table's clock differ.
func (m *Memory) Skew(ahead time.Duration) { m.set(func() { m.skew = ahead }) }

// Undated makes it a table that does not tell its clock.
func (m *Memory) Undated() { m.set(func() { m.undated = true }) }

// Down makes every call fail with err, without effect, until it is nil.
func (m *Memory) Down(err error) { m.set(func() { m.down = err }) }

// Watch calls f, under the table's lock, for each item that is stored by a Swap.
func (m *Memory) Watch(f func(id int, was, is *lease.Item)) { m.set(func() { m.watch = f }) }

// IgnoreConditions makes it a table that takes every write.
func (m *Memory) IgnoreConditions() { m.set(func() { m.careless = true }) }

// Put stores bytes, whatever they are and whatever is there.
func (m *Memory) Put(id int, data []byte) { m.set(func() { m.rows[id] = m.row(data, nil) }) }

// Drop deletes an item, as no koboshi does.
func (m *Memory) Drop(id int) { m.set(func() { delete(m.rows, id) }) }

// Bytes is what is stored of an id, nil for nothing.
func (m *Memory) Bytes(id int) (data []byte) {
	m.set(func() { data = m.rows[id].data })
	return data
}

// Items are those that are stored and readable.
func (m *Memory) Items() map[int]lease.Item {
	items := map[int]lease.Item{}
	m.set(func() {
		for id, r := range m.rows {
			if i, err := lease.Parse(r.data, m.scope, id, m.now().UnixMilli()); err == nil {
				items[id] = i
			}
		}
	})
	return items
}

// Calls is how often an operation was asked for; "" counts all.
func (m *Memory) Calls(op Op) (n int) {
	m.set(func() {
		if n = m.calls[op]; op == "" {
			n = m.calls[Get] + m.calls[Swap] + m.calls[List]
		}
	})
	return n
}

func (m *Memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// now is the table's clock.
func (m *Memory) now() time.Time { return time.Now().Add(m.skew) }

func (m *Memory) date() time.Time {
	if m.undated {
		return time.Time{}
	}
	return m.now().Truncate(time.Second)
}

// String implements [lease.Table].
func (m *Memory) String() string { return "memory" }

// ShardSize implements [lease.Table].
func (m *Memory) ShardSize() int {
	if m.kind == Rows {
		return 64
	}
	return 256
}

// Get implements [lease.Table].
func (m *Memory) Get(ctx context.Context, id int) (s lease.Stored, err error) {
	err = m.call(ctx, Get, id, func() error {
		s = m.stored(id)
		return nil
	}, nil)
	return s, err
}

// Swap implements [lease.Table].
func (m *Memory) Swap(ctx context.Context, old lease.Stored, next lease.Item) (s lease.Stored, err error) {
	data, err := next.Encode()
	if err != nil {
		return s, err
	}
	if next.ID != old.ID || next.Scope != m.scope {
		return s, fmt.Errorf("id %d of scope %q over id %d of %q", next.ID, next.Scope, old.ID, m.scope)
	}
	again := func() { _, _ = m.swap(old, next, data) }
	err = m.call(ctx, Swap, old.ID, func() (err error) {
		s, err = m.swap(old, next, data)
		return err
	}, again)
	return s, err
}

func (m *Memory) swap(old lease.Stored, next lease.Item, data []byte) (lease.Stored, error) {
	is := m.stored(old.ID)
	if !m.careless && !m.same(old, is) {
		if m.kind == Rows && is.Exists {
			return is, lease.ErrChanged
		}
		return lease.Stored{ID: old.ID}, lease.ErrChanged
	}
	m.rows[old.ID] = m.row(data, &next)
	if m.watch != nil {
		m.watch(old.ID, is.Item, &next)
	}
	return m.stored(old.ID), nil
}

// same reports whether what is there is what was read, as far as the real table can tell.
func (m *Memory) same(old, is lease.Stored) bool {
	if old.Exists != is.Exists || !is.Exists {
		return old.Exists == is.Exists
	}
	if m.kind == Objects {
		return old.Version == is.Version
	}
	o, i := old.Item, is.Item
	return o != nil && i != nil && o.Gen == i.Gen && o.Nonce == i.Nonce && o.HW == i.HW && o.Slack == i.Slack && o.State == i.State
}

// List implements [lease.Table].
func (m *Memory) List(ctx context.Context, shard int) (found []lease.Stored, err error) {
	err = m.call(ctx, List, -1, func() error {
		for id := range maps.Keys(m.rows) {
			if id/m.ShardSize() != shard {
				continue
			}
			found = append(found, m.listed(id))
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// listed is what a list shows of an id.
func (m *Memory) listed(id int) lease.Stored {
	if m.kind == Rows {
		return m.stored(id)
	}
	r := m.rows[id]
	s := lease.Stored{ID: id, Exists: true, Version: r.version, Modified: r.modified.Truncate(time.Second), Date: m.date()}
	if r.item != nil {
		s.State = r.item.State
	}
	return s
}

// stored is what is there of an id.
func (m *Memory) stored(id int) lease.Stored {
	r, ok := m.rows[id]
	if !ok {
		return lease.Stored{ID: id, Date: m.date()}
	}
	s := lease.Stored{ID: id, Exists: true, Version: r.version, Modified: r.modified.Truncate(time.Second), Date: m.date()}
	if r.item != nil {
		copied := *r.item
		s.Item = &copied
		return s
	}
	item, err := lease.Parse(r.data, m.scope, id, m.now().UnixMilli())
	if err != nil {
		s.Bad = err
		return s
	}
	s.Item = &item
	return s
}

// PutProbe implements [lease.Prober].
func (m *Memory) PutProbe(ctx context.Context, stale bool) error {
	return m.call(ctx, Swap, -1, func() error {
		if !m.careless && (stale || m.probe) {
			return lease.ErrChanged
		}
		m.probe = true
		return nil
	}, nil)
}

// GetProbe implements [lease.Prober].
func (m *Memory) GetProbe(ctx context.Context) (at time.Time, err error) {
	err = m.call(ctx, Get, -1, func() error {
		if !m.probe {
			return bucket.ErrNotFound
		}
		at = m.date()
		return nil
	}, nil)
	return at, err
}

// call is one request: on its way, at the table, and on its way back.
func (m *Memory) call(ctx context.Context, op Op, id int, do func() error, again func()) error {
	f, half := m.begin(op, id)
	if f.Before != nil {
		f.Before()
	}
	if err := pace.Sleep(ctx, half); err != nil {
		return err
	}
	err := m.arrive(f, do, again)
	if late := pace.Sleep(ctx, half); late != nil {
		return late // the answer is lost, not its effect
	}
	return err
}

// begin counts a call and finds out what is to go wrong with it, and how long it takes
// each way.
func (m *Memory) begin(op Op, id int) (f Fault, half time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[op]++
	if m.latency != nil {
		half = m.latency() / 2
	}
	for _, f := range m.faults {
		if f.matches(op, id) && f.due() {
			return *f, half
		}
	}
	return Fault{}, half
}

// arrive is a request at the table.
func (m *Memory) arrive(f Fault, do func() error, again func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	if again != nil {
		for _, after := range f.Again {
			time.AfterFunc(after, func() { m.set(again) })
		}
	}
	if f.Err != nil && !f.Applied {
		return f.Err
	}
	return errors.Join(do(), f.Err)
}
