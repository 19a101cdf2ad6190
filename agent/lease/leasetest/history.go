package leasetest

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"koboshi/agent/lease"
)

// History is what clients asked a table, and what it answered, in which order.
type History struct {
	clock      atomic.Int64
	mu         sync.Mutex
	operations []porcupine.Operation
}

// asked is a read (next nil), or a swap.
type asked struct {
	id        int
	old, next *lease.Item
}

// answered is the item that was read, or how a swap ended.
type answered struct {
	read    *lease.Item
	swapped bool
	open    bool // nothing is known of its effect, now or later
}

// Linearizable reports whether the history is one of a register for each id, which reads
// and swaps at one moment between question and answer: a swap whose answer is open at any
// later one, or never.
func (h *History) Linearizable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	model := porcupine.NondeterministicModel{
		Partition: byID,
		Init:      func() []any { return []any{lease.Item{}} },
		Step:      step,
	}
	return porcupine.CheckOperations(model.ToModel(), h.operations)
}

func byID(all []porcupine.Operation) (parts [][]porcupine.Operation) {
	ids := map[int][]porcupine.Operation{}
	for _, o := range all {
		id := o.Input.(asked).id
		ids[id] = append(ids[id], o)
	}
	for _, part := range ids {
		parts = append(parts, part)
	}
	return parts
}

// value is an item, or the zero one for none.
func value(i *lease.Item) lease.Item {
	if i == nil {
		return lease.Item{}
	}
	return *i
}

// step is what may be stored after an operation; nothing where it cannot have ended so.
func step(state, input, output any) []any {
	is, in, out := state.(lease.Item), input.(asked), output.(answered)
	met := value(in.old) == is
	switch {
	case in.next == nil && value(out.read) == is:
		return []any{is}
	case in.next == nil:
		return nil
	case out.open && met:
		return []any{is, *in.next}
	case out.open, !out.swapped && !met:
		return []any{is}
	case out.swapped && met:
		return []any{*in.next}
	}
	return nil
}

// do records an operation.
func (h *History) do(client int, in asked, f func() answered) {
	call := h.clock.Add(1)
	out := f()
	back := h.clock.Add(1)
	if out.open {
		back = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: back})
}

// Len is how many operations it has, and how many swaps were stored.
func (h *History) Len() (all, swapped int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.operations {
		if o.Output.(answered).swapped {
			swapped++
		}
	}
	return len(h.operations), swapped
}

// Record lets clients read and swap a few ids at once, so many times each, and records it.
func Record(t *testing.T, table lease.Table, clients, times int) *History {
	h := &History{}
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for n := range times {
				h.once(t, table, client, n)
			}
		})
	}
	wg.Wait()
	return h
}

// once reads an id and swaps what is there.
func (h *History) once(t *testing.T, table lease.Table, client, n int) {
	id := (client + n) % 3
	var read lease.Stored
	var failed error
	h.do(client, asked{id: id}, func() answered {
		read, failed = table.Get(t.Context(), id)
		return answered{read: read.Item, open: failed != nil}
	})
	if failed != nil {
		return
	}
	next := item("web", id)
	next.Written = time.Unix(1_800_000_000, 0).UTC()
	next.Gen, next.Nonce, next.HW = int64(n)+1, lease.Nonce{byte(client), byte(n), byte(n >> 8), 1}, hour(1)
	if read.Item != nil {
		next.Gen = read.Item.Gen + 1
	}
	h.do(client, asked{id, read.Item, &next}, func() answered {
		_, err := table.Swap(t.Context(), read, next)
		return answered{swapped: err == nil, open: err != nil && !errors.Is(err, lease.ErrChanged)}
	})
}

// histories of clients at once are linearizable.
func histories(t *testing.T, open func(string) lease.Table) {
	h := Record(t, open("web"), 6, 12)
	all, swapped := h.Len()
	if swapped < 12 {
		t.Errorf("%d of %d operations were swaps that succeeded: too few to see anything", swapped, all)
	}
	if !h.Linearizable() {
		t.Errorf("the history of %d operations is not linearizable", all)
	}
}
