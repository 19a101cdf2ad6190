package model

import (
	"slices"

	"koboshi/agent/lease"
)

// The largest world.
const (
	maxIDs, maxProcs, maxRequests = 2, 3, 3
	maxNonces                     = 14
	maxMillis                     = 8 // one bit each
	maxClaims, maxCrashes         = 6, 6
)

// cell is the item of one id; the zero cell is none.
type cell struct {
	gen, nonce, hw, slack int8
	free                  bool
}

func (c cell) item() *lease.Item {
	if c == (cell{}) {
		return nil
	}
	i := lease.Item{Gen: int64(c.gen), Nonce: nonceOf(c.nonce), HW: lease.Millis(c.hw), Slack: lease.Millis(c.slack), State: lease.Held, Owner: owner}
	if c.free {
		i.State = lease.Free
	}
	return &i
}

func cellOf(i lease.Item) cell {
	return cell{gen: int8(i.Gen), nonce: int8(i.Nonce[0]), hw: int8(i.HW), slack: int8(i.Slack), free: i.State == lease.Free}
}

func nonceOf(n int8) lease.Nonce { return lease.Nonce{byte(n)} }

// tenure is a lease.Tenure, small; the zero tenure is none.
type tenure struct{ id, gen, nonce, floor, until, slack int8 }

func (t tenure) real() lease.Tenure {
	return lease.Tenure{
		ID: int(t.id), Gen: int64(t.gen), Nonce: nonceOf(t.nonce),
		Floor: lease.Millis(t.floor), Until: lease.Millis(t.until), Slack: lease.Millis(t.slack),
	}
}

func tenureOf(t lease.Tenure) tenure {
	return tenure{int8(t.ID), int8(t.Gen), int8(t.Nonce[0]), int8(t.Floor), int8(t.Until), int8(t.Slack)}
}

// phase is what a process is doing.
type phase int8

const (
	idle      phase = iota
	claiming        // waits for the answer to a claim
	holding         // its app runs
	renewing        // waits for the answer to a renewal
	down            // no process, and no app
	agentless       // no process; the app may run
)

// disk is a lease.Record, small; the zero disk is empty.
type disk struct {
	phase  int8 // in phases
	tenure tenure
	mark   int8
}

var phases = [...]lease.Phase{"", lease.Holding, lease.Stopped, lease.Releasing}

const (
	nothing int8 = iota
	held
	stopped
	releasing
)

// proc is one instance: its agent, its app and its disk.
type proc struct {
	phase  phase
	nonce  int8   // of the process
	slack  int8   // how far its app overruns its bounds
	tenure tenure // of the agent
	asked  int8   // the mark that was asked for, where a broken rule needs it
	app    app
	disk   disk
}

// app is one run of an app; the zero app does not run.
type app struct {
	runs       bool
	id         int8
	first, end int8  // what it uses
	own        uint8 // the units that it has used, a bit each
	last       int8  // the last moment that it has used, or -1
}

// request is a write on its way; the zero request is none.
type request struct {
	from     int8 // proc + 1
	id       int8
	old, new cell
	applied  int8 // so often
}

// kind is what the write is, for people.
func (q request) kind() string {
	switch {
	case q.new == (cell{}) || q.new.free:
		return "the release"
	case q.old.nonce == q.new.nonce && q.old.gen == q.new.gen && !q.old.free:
		return "the renewal"
	}
	return "the claim"
}

// state is the whole world.
type state struct {
	table    [maxIDs]cell
	procs    [maxProcs]proc
	requests [maxRequests]request
	used     [maxIDs]uint8 // the units that were used, a bit each
	crashes  int8
	claims   int8 // requested, where no generation counts them
	clash    bool // a unit was used twice
}

// freeNonce is one that nothing in the world has: what has it no more cannot be told
// from what never had it.
func (s *state) freeNonce() (int8, bool) {
	var taken [maxNonces + 1]bool
	for _, c := range s.table {
		taken[c.nonce] = true
	}
	for _, p := range s.procs {
		taken[p.nonce], taken[p.tenure.nonce], taken[p.disk.tenure.nonce] = true, true, true
	}
	for _, q := range s.requests {
		taken[q.old.nonce], taken[q.new.nonce] = true, true
	}
	n := slices.Index(taken[1:maxNonces], false)
	return int8(n + 1), n >= 0
}
