package leasetest

import (
	"errors"
	"time"

	"koboshi/artifacts/bucket/buckettest"
)

// Op is one of a table's methods.
type Op string

// The operations there are.
const (
	Get  Op = "get"
	Swap Op = "swap"
	List Op = "list"
)

// ErrLostAnswer is an error that leaves open what has happened.
var ErrLostAnswer = errors.New("connection reset by peer")

// Fault is one scripted misbehaviour of a [Memory].
type Fault struct {
	Op  Op    // "" = every operation
	IDs []int // none = all; a List has none

	Skip  int // let this many matching calls through first
	Times int // then act this often; 0 = without end

	Before  func()          // called first, without any lock: what happens meanwhile
	Err     error           // answered instead; nil = the call goes on
	Applied bool            // the call takes effect and only its answer is lost
	Again   []time.Duration // a Swap arrives again, so much later; with Err it is delayed
}

func (f *Fault) matches(op Op, id int) bool {
	if f.Op != "" && f.Op != op {
		return false
	}
	for _, want := range f.IDs {
		if want == id {
			return true
		}
	}
	return len(f.IDs) == 0
}

// due counts the call and reports whether the fault acts on it.
func (f *Fault) due() bool { return buckettest.Due(&f.Skip, &f.Times) }

// Fail adds a fault. Where several match a call, the first that is due acts.
func (m *Memory) Fail(f Fault) { m.set(func() { m.faults = append(m.faults, &f) }) }

// Heal removes all faults.
func (m *Memory) Heal() { m.set(func() { m.faults, m.down = nil, nil }) }
