package leasetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lease"
)

// Agent is one process of a machine: the code that is under test.
type Agent interface {
	// Up has the app running under an id: the one that is held, or one that is claimed.
	Up(ctx context.Context) error
	Renew(ctx context.Context) error
	// Look is called when the clock was set.
	Look(ctx context.Context)
	// Down is called once the app has ended.
	Down(ctx context.Context) error
	// Release is called after Down.
	Release(ctx context.Context) error
}

// World is a schedule: machines that do anything to one table, over a network that does
// anything to them. It is the same for the same seed.
type World struct {
	Seed   uint64
	Mutant Mutant
	Table  *Memory
	IDs    lease.IDs
	Lease  time.Duration
	Unit   time.Duration // of all generators

	oracle   oracle
	machines []*Machine
}

// Scope is that of every table here.
const Scope = "web"

// Outcome is what has happened in a schedule.
type Outcome struct {
	Twice     error // what was used twice; nil = nothing
	Numbers   int   // that apps have given out
	Claims    int
	Takeovers int // claims of an id that was not free
	Renewals  int
	Releases  int
}

// Add counts another schedule.
func (o *Outcome) Add(other Outcome) {
	o.Numbers += other.Numbers
	o.Claims += other.Claims
	o.Takeovers += other.Takeovers
	o.Renewals += other.Renewals
	o.Releases += other.Releases
}

func (o Outcome) String() string {
	return fmt.Sprintf("%d numbers, %d claims of which %d were takeovers, %d renewals, %d releases", o.Numbers, o.Claims, o.Takeovers, o.Renewals, o.Releases)
}

// stored counts a write. The table calls it, one at a time.
func (o *Outcome) stored(_ int, was, is *lease.Item) {
	switch {
	case is.State == lease.Free:
		o.Releases++
	case was != nil && was.Gen == is.Gen:
		o.Renewals++
	case was != nil && was.State == lease.Held:
		o.Takeovers++
		o.Claims++
	default:
		o.Claims++
	}
}

// Run runs a schedule of the seed. begin begins a process on a machine.
func Run(t *testing.T, seed uint64, m Mutant, begin func(*Machine) Agent) (out Outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, m)
		w.Table.Watch(out.stored)
		ctx, cancel := context.WithTimeout(t.Context(), 5*w.Lease)
		defer cancel()
		var all sync.WaitGroup
		for _, m := range w.machines {
			all.Go(func() { m.run(ctx, begin) })
		}
		all.Wait()
		w.Table.Watch(nil)
		out.Twice, out.Numbers = w.oracle.twice, w.oracle.numbers
	})
	return out
}

func newWorld(seed uint64, m Mutant) *World {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a schedule is to be had again
	kind := Kind(r.IntN(2))
	w := &World{
		Seed: seed, Mutant: m, Table: NewMemory(kind, Scope), IDs: lease.IDs{Last: r.IntN(4)}, Lease: 20 * time.Second,
		Unit:   []time.Duration{time.Millisecond, 10 * time.Millisecond, time.Second}[r.IntN(3)],
		oracle: oracle{used: map[slot]use{}},
	}
	if r.IntN(2) == 0 {
		w.Table.Undated() // no clock is too wrong then
	}
	for n := range 2 + min(r.IntN(7), r.IntN(7)) {
		w.machines = append(w.machines, newMachine(w, n))
	}
	return w
}

// slot is a unit of time of one id.
type slot struct {
	id   int
	unit int64
}

// use is who has used a slot.
type use struct {
	by   string
	seqs int // 0 to seqs-1 were used
	run  *app
}

// oracle knows what all apps have used.
type oracle struct {
	mu      sync.Mutex
	used    map[slot]use
	numbers int
	twice   error
}

// record is one number that an app has given out.
func (o *oracle) record(a *app, s slot, seq int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.numbers++
	was, ok := o.used[s]
	if ok && (was.by != a.holder || was.run != a && seq < was.seqs) && o.twice == nil {
		o.twice = fmt.Errorf("unit %d of id %d, number %d, was used by %s and by %s", s.unit, s.id, seq, was.by, a.holder)
	}
	o.used[s] = use{a.holder, max(was.seqs, seq+1), a}
}

// app is one run of an app with a generator.
type app struct {
	machine *Machine
	tenure  lease.Tenure
	holder  string
	slack   lease.Millis // how far it overruns its bounds; 0 = it looks
	cancel  context.CancelFunc
	ended   chan struct{}

	mu     sync.Mutex
	bounds lease.Bounds
	last   lease.Millis // that was used, or -1
	seq    int
}

// tick is how often an app uses a moment, at multiples by its own clock: so two machines
// that use the same time use the same moments.
const tick = time.Second

func (a *app) run(ctx context.Context) {
	defer close(a.ended)
	for a.emit() {
		now := a.machine.Now()
		if sleep(ctx, now.Truncate(tick).Add(tick).Sub(now)) != nil {
			return
		}
	}
}

// emit uses this moment, if it may. An app that does not look is stopped where it may not.
func (a *app) emit() (goOn bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.machine.Now().UnixMilli()
	if now <= a.bounds.NotBefore || now > a.bounds.ValidUntil+a.slack {
		return a.slack == 0
	}
	unit := a.machine.World.Unit.Milliseconds()
	switch {
	case now < a.last:
		return true // no generator goes back
	case a.last < 0 || now/unit != a.last/unit:
		a.seq = 0
	}
	a.last = now
	a.machine.World.oracle.record(a, slot{a.tenure.ID, now / unit}, a.seq)
	a.seq++
	return true
}

func (a *app) used() lease.Millis {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

var errKilled = errors.New("the process was killed")

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
