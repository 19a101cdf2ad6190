package model

import (
	"errors"
	"fmt"
	"slices"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// Bounds is how large a world is.
type Bounds struct {
	Procs, IDs int
	Last       int8 // the highest mark, in milliseconds
	Unit       int8 // of the generators, in milliseconds
	Slack      int8 // of an app that does not look; 0 = all look
	Claims     int8 // of one id
	Requests   int  // on their way at once
	Repeats    int8 // how often a request is applied beyond once
	Crashes    int8 // and clean stops
	States     int  // more than these are a failure: nothing may be cut off
}

// String is the world in one line.
func (b Bounds) String() string {
	return fmt.Sprintf("%d claimants, %d ids, marks to %d ms, unit %d ms, slack %d ms, %d claims, %d requests applied %d times, %d crashes",
		b.Procs, b.IDs, b.Last, b.Unit, b.Slack, b.Claims, b.Requests, b.Repeats+1, b.Crashes)
}

// check refuses a world that a state has no room for.
func (b Bounds) check() error {
	if b.Procs > maxProcs || b.IDs > maxIDs || b.Requests > maxRequests || b.Last+b.Slack >= maxMillis || b.Unit < 1 || b.Claims > maxClaims || b.Crashes > maxCrashes {
		return fmt.Errorf("larger than a state can be: %s", b)
	}
	return nil
}

// Found is what an exploration has found.
type Found struct {
	States, Depth int
	Clash         []string // the shortest way to two uses of one unit, step by step; nil = there is none
}

// errCut is a bound that cut states off: nothing is known then.
var errCut = errors.New("states were cut off")

// Explore visits every state that the bounds allow, breadth first, until a clash.
func Explore(b Bounds, m Mutant) (Found, error) {
	if err := b.check(); err != nil {
		return Found{}, err
	}
	x := &explorer{Bounds: b, mutant: m, seen: map[key]struct{}{}, orders: ordersOf(b.Procs)}
	found, err := x.explore()
	if x.clash == nil || err != nil {
		return found, err
	}
	again := &explorer{Bounds: b, mutant: m, seen: map[key]struct{}{}, orders: x.orders, origins: map[key]origin{}}
	if _, err := again.explore(); err != nil {
		return found, err
	}
	found.Clash = again.trace(*again.clash)
	return found, nil
}

type explorer struct {
	Bounds
	mutant  Mutant
	orders  [][]int
	seen    map[key]struct{}
	next    [][]state // in parts, which are let go one by one
	clash   *state
	err     error
	now     state          // whose successors are visited
	origins map[key]origin // of each state, where a trace is wanted
}

// origin is the state before another one, and what happened in it.
type origin struct {
	before state
	event  event
}

// event is one step of the world, for people.
type event struct {
	proc int // 0 = the network
	verb string
	on   int8
}

func (e event) String() string {
	who := "the network"
	if e.proc > 0 {
		who = fmt.Sprintf("process %d", e.proc)
	}
	return fmt.Sprintf("%s %s %d", who, e.verb, e.on)
}

func (x *explorer) explore() (Found, error) {
	var found Found
	x.visit(x.first(), event{})
	for level := x.next; len(level) > 0; level = x.next {
		x.next = nil
		for i, part := range level {
			level[i] = nil // for the collector
			if err := x.steps(part); err != nil || x.clash != nil {
				return Found{States: len(x.seen), Depth: found.Depth}, err
			}
		}
		found.Depth++
	}
	found.States = len(x.seen)
	return found, nil
}

// steps visits what follows some states.
func (x *explorer) steps(of []state) error {
	for i := range of {
		x.now = of[i]
		x.step(of[i])
		if x.clash != nil || x.err != nil {
			return x.err
		}
		if len(x.seen) > x.States {
			return fmt.Errorf("%w: more than %d", errCut, x.States)
		}
	}
	return nil
}

// first is the world before anything has happened. The app of the first process looks.
func (x *explorer) first() state {
	var s state
	for p := range x.Procs {
		if p > 0 {
			s.procs[p].slack = x.Slack
		}
		x.begin(&s, &s.procs[p])
	}
	return s
}

// begin gives a process that begins its nonce.
func (x *explorer) begin(s *state, p *proc) {
	n, ok := s.freeNonce()
	if !ok {
		x.err = fmt.Errorf("%w: more than %d nonces at once", errCut, maxNonces)
	}
	if x.mutant == leasetest.NoNonce {
		n = 1
	}
	p.nonce = n
}

// visit is a state that follows the one at hand.
func (x *explorer) visit(s state, e event) {
	k := keyOf(&s, x.orders)
	if _, known := x.seen[k]; known || x.clash != nil {
		return
	}
	x.seen[k] = struct{}{}
	x.push(s)
	if x.origins != nil {
		x.origins[k] = origin{x.now, e}
	}
	if s.clash {
		x.clash = &s
	}
}

const part = 4096 // states

func (x *explorer) push(s state) {
	if n := len(x.next); n == 0 || len(x.next[n-1]) == part {
		x.next = append(x.next, make([]state, 0, part))
	}
	last := &x.next[len(x.next)-1]
	*last = append(*last, s)
}

// trace is what led to a state, from the beginning.
func (x *explorer) trace(s state) []string {
	var steps []string
	for {
		o := x.origins[keyOf(&s, x.orders)]
		if o.event == (event{}) {
			break
		}
		steps = append(steps, o.event.String())
		s = o.before
	}
	slices.Reverse(steps)
	return steps
}

// step visits every state that may follow s.
func (x *explorer) step(s state) {
	for r := range x.Requests {
		if s.requests[r].from > 0 {
			x.deliver(s, r)
		}
	}
	for n := range x.Procs {
		x.run(s, n)
	}
}

// deliver applies a request, or loses it. There are no answers: one that comes tells
// what a read would have told at that moment, and one that comes late tells the process
// what it may have learnt by an earlier read.
func (x *explorer) deliver(s state, r int) {
	q := s.requests[r]
	lost := s
	lost.requests[r] = request{}
	x.visit(lost, event{0, "loses " + q.kind() + ", to", q.new.hw})
	if q.applied > x.Repeats || !x.matches(s.table[q.id], q) {
		return
	}
	s.table[q.id] = q.new
	s.requests[r].applied++
	x.visit(s, event{0, "applies " + q.kind() + ", to", q.new.hw})
}

// matches reports whether the table applies a request.
func (x *explorer) matches(now cell, q request) bool {
	old := q.old
	switch {
	case x.mutant == leasetest.LooseRenewal && old.gen == q.new.gen && !q.new.free:
		return now.gen == old.gen && now.nonce == old.nonce
	case x.mutant == SlackUnchecked:
		old.slack = now.slack
	}
	return now == old
}

// run is whatever one instance may do.
func (x *explorer) run(s state, n int) {
	x.emit(s, n)
	switch s.procs[n].phase {
	case idle:
		x.claim(s, n)
		if s.procs[n].disk != (disk{}) {
			x.crash(s, n)
		}
	case claiming, renewing:
		x.read(s, n)
		x.crash(s, n)
	case holding:
		x.renew(s, n)
		x.release(s, n)
		x.shutDown(s, n)
		x.crash(s, n)
	case agentless:
		x.crash(s, n)
		x.resume(s, n)
	case down:
		x.resume(s, n)
	}
}

// send puts a write on its way, if there is room for one more.
func (x *explorer) send(s *state, n int, id int8, old, item cell) bool {
	for r := range x.Requests {
		if s.requests[r].from == 0 {
			s.requests[r] = request{from: int8(n + 1), id: id, old: old, new: item}
			return true
		}
	}
	return false
}

// allowed reports whether an item is within the world.
func (x *explorer) allowed(i lease.Item) bool {
	return i.HW <= lease.Millis(x.Last) && i.Gen <= int64(x.Claims)
}
