package leasetest

import (
	"context"
	"time"

	"koboshi/agent/lease"
)

// network is the table as one process sees it: requests and answers are lost, delayed
// and repeated, and the process may be killed at any of them.
type network struct {
	machine *Machine
	broken  *broken
}

// Network is the table as the process of the machine sees it.
func (m *Machine) Network() lease.Table {
	return &network{m, &broken{table: m.World.Table, mutant: m.World.Mutant, asked: map[int]lease.Item{}}}
}

func (n *network) String() string { return n.machine.World.Table.String() }

func (n *network) ShardSize() int { return n.machine.World.Table.ShardSize() }

// way is how long a request, or an answer, takes.
func (n *network) way(ctx context.Context) error {
	m := n.machine
	if m.point() {
		return errKilled
	}
	d := m.between(0, 50*time.Millisecond)
	if m.one(20) {
		d *= 100
	}
	return sleep(ctx, d)
}

// later is when a request arrives again.
func (n *network) later() time.Duration {
	if n.machine.one(2) {
		return n.machine.between(0, time.Second)
	}
	return n.machine.between(0, 2*n.machine.World.Lease)
}

// lost is a request, or an answer, that does not arrive.
func (n *network) lost() bool { return n.machine.one(12) }

func (n *network) Get(ctx context.Context, id int) (lease.Stored, error) {
	if err := n.way(ctx); err != nil {
		return lease.Stored{ID: id}, err
	}
	if n.lost() {
		return lease.Stored{ID: id}, ErrLostAnswer
	}
	s, err := n.broken.get(ctx, id)
	if late := n.way(ctx); late != nil {
		return lease.Stored{ID: id}, late
	}
	return s, err
}

func (n *network) List(ctx context.Context, shard int) ([]lease.Stored, error) {
	if err := n.way(ctx); err != nil {
		return nil, err
	}
	if n.lost() {
		return nil, ErrLostAnswer
	}
	found, err := n.broken.list(ctx, shard)
	if late := n.way(ctx); late != nil {
		return nil, late
	}
	return found, err
}

func (n *network) Swap(ctx context.Context, old lease.Stored, next lease.Item) (lease.Stored, error) {
	m := n.machine
	n.broken.ask(next)
	if err := n.way(ctx); err != nil {
		return lease.Stored{ID: old.ID}, err
	}
	if m.one(6) { // it arrives again, or only then
		again := func() { _, _ = n.broken.swap(context.Background(), old, next) }
		for time.AfterFunc(n.later(), again); m.one(4); {
			time.AfterFunc(n.later(), again)
		}
		if m.one(2) {
			return n.broken.unanswered(old, next)
		}
	}
	if n.lost() {
		return n.broken.unanswered(old, next)
	}
	s, err := n.broken.swap(ctx, old, next)
	if late := n.way(ctx); late != nil {
		return lease.Stored{ID: old.ID}, late
	}
	if n.lost() {
		return n.broken.unanswered(old, next)
	}
	return s, err
}
