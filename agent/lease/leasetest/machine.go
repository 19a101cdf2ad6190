package leasetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"koboshi/agent/lease"
)

// Machine is one instance: a clock, a disk, an app, and at most one process at a time.
type Machine struct {
	World *World
	ID    string
	Slack lease.Millis // how far its app overruns its bounds; 0 = it looks
	Disk  Disk

	// Sync brings what an agent keeps elsewhere into Disk; nil = it keeps nothing.
	Sync func()

	n      int
	random *rand.Rand
	offset atomic.Int64 // of its clock, in nanoseconds
	booted time.Time
	boots  int
	app    *app
	end    lease.Millis // that the last app has used, or -1

	process  int // so many have begun
	agent    Agent
	nonce    lease.Nonce
	killed   bool
	killedAt Disk // its disk then
	fuse     int  // points until it is killed; 0 = it is not
}

// Disk is what a machine's disk has; the zero Disk has nothing. Agents may keep anything
// in its record that is JSON with the members phase and mark_ms.
type Disk struct{ Record string }

func newMachine(w *World, n int) *Machine {
	m := &Machine{World: w, ID: fmt.Sprintf("i-%d", n), n: n, booted: time.Now(), end: -1}
	m.random = rand.New(rand.NewPCG(w.Seed, uint64(n)+1)) //nolint:gosec // a schedule is to be had again
	m.offset.Store(m.between(-w.Lease, w.Lease).Nanoseconds())
	m.configure()
	return m
}

func (m *Machine) between(least, most time.Duration) time.Duration {
	return least + time.Duration(m.random.Int64N(int64(most-least)))
}

// one reports one in so many.
func (m *Machine) one(in int) bool { return m.random.IntN(in) == 0 }

// configure is how the app is from now on.
func (m *Machine) configure() {
	m.Slack = []lease.Millis{0, 3000}[m.random.IntN(2)]
}

// Now is the machine's clock.
func (m *Machine) Now() time.Time { return time.Now().Add(time.Duration(m.offset.Load())) }

// Uptime is since the machine was started.
func (m *Machine) Uptime() time.Duration { return time.Since(m.booted) }

// Boot tells its starts apart.
func (m *Machine) Boot() string { return fmt.Sprintf("boot-%d", m.boots) }

// Nonce is that of the process.
func (m *Machine) Nonce() lease.Nonce { return m.nonce }

// Unit is that of the app's generator.
func (m *Machine) Unit() lease.Millis { return m.World.Unit.Milliseconds() }

// Runs reports whether the app runs.
func (m *Machine) Runs() bool {
	if m.app == nil {
		return false
	}
	select {
	case <-m.app.ended:
		m.StopApp()
	default:
	}
	return m.app != nil
}

// Used is the last moment that the app which ran last has used, or -1.
func (m *Machine) Used() lease.Millis { return m.end }

// Tell tells the app that runs its bounds.
func (m *Machine) Tell(b lease.Bounds) {
	if m.point() || !m.Runs() {
		return
	}
	m.app.mu.Lock()
	defer m.app.mu.Unlock()
	m.app.bounds = b
}

// StartApp starts the app, which does not run.
func (m *Machine) StartApp(t lease.Tenure, b lease.Bounds) error {
	if m.point() {
		return errKilled
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.app = &app{
		machine: m, tenure: t, holder: fmt.Sprintf("%s generation %d nonce %s", m.ID, t.Gen, t.Nonce), slack: m.Slack,
		cancel: cancel, ended: make(chan struct{}), bounds: b, last: -1,
	}
	go m.app.run(ctx)
	return nil
}

// StopApp ends the app.
func (m *Machine) StopApp() {
	if m.killed || m.app == nil {
		return
	}
	m.app.cancel()
	<-m.app.ended
	m.end, m.app = m.app.used(), nil
}

// point is a moment at which the process may be killed.
func (m *Machine) point() bool {
	if m.fuse > 0 {
		if m.fuse--; m.fuse == 0 {
			m.sync()
			m.killed, m.killedAt = true, m.Disk
		}
	}
	return m.killed
}

func (m *Machine) sync() {
	if m.Sync != nil {
		m.Sync()
	}
}

// run does anything to the machine, until the context ends.
func (m *Machine) run(ctx context.Context, begin func(*Machine) Agent) {
	defer func() {
		m.killed = false
		m.StopApp()
	}()
	m.begin(begin)
	for sleep(ctx, m.between(0, m.World.Lease/4)) == nil {
		if m.one(8) {
			m.fuse = 1 + m.random.IntN(6)
		}
		m.act(ctx, begin)
		if m.killed {
			m.killed, m.Disk, m.Sync = false, m.killedAt, nil
			m.crash()
			m.begin(begin)
		}
		m.fuse = 0
	}
}

// begin begins a process.
func (m *Machine) begin(begin func(*Machine) Agent) {
	m.process++
	m.nonce = lease.Nonce{1: byte(m.n + 1), 2: byte(m.process >> 8), 3: byte(m.process), 15: 1}
	if m.World.Mutant == NoNonce {
		m.nonce = lease.Nonce{15: 1}
	}
	m.Disk = m.World.Mutant.disk(m.Disk)
	m.agent = begin(m)
}

// act is one thing that happens. What the agent cannot do it may try again later.
func (m *Machine) act(ctx context.Context, begin func(*Machine) Agent) {
	ctx, cancel := context.WithTimeout(ctx, m.World.Lease)
	defer cancel()
	if !m.Runs() {
		m.flap(ctx)
		_ = m.agent.Up(ctx)
		return
	}
	switch m.random.IntN(16) {
	case 0, 1: // the app is restarted
		m.StopApp()
		if m.agent.Down(ctx) == nil {
			_ = m.agent.Up(ctx)
		}
	case 2: // a clean reboot
		m.StopApp()
		if m.agent.Down(ctx) == nil && !m.killed {
			m.reboot()
			m.begin(begin)
		}
	case 3, 4: // the id is given back
		m.StopApp()
		if m.agent.Down(ctx) == nil && m.agent.Release(ctx) == nil && m.one(2) {
			_ = m.agent.Up(ctx)
		}
	case 5:
		m.crash()
		m.begin(begin)
	case 6:
		m.stepClock()
		m.agent.Look(ctx)
	case 7: // the process stands still
		_ = sleep(ctx, m.between(0, m.World.Lease))
	case 8:
		_ = m.agent.Up(ctx)
	default:
		_ = m.agent.Renew(ctx)
	}
}

// flap claims an id and gives it back before the app has started, some times or not at
// all.
func (m *Machine) flap(ctx context.Context) {
	for m.one(3) && !m.Runs() {
		short, cancel := context.WithTimeout(ctx, time.Second)
		_ = m.agent.Up(short)
		cancel()
		if !m.Runs() {
			_ = m.agent.Release(ctx)
		}
	}
}

func (m *Machine) reboot() {
	m.sync()
	m.Sync = nil
	m.boots++
	m.booted = time.Now()
	if m.one(2) {
		m.configure()
	}
}

// crash ends the process, alone or with the machine, whose disk may be lost.
func (m *Machine) crash() {
	m.sync()
	m.Sync = nil
	if m.one(2) {
		return
	}
	m.StopApp()
	m.reboot()
	if m.one(2) {
		m.Disk = Disk{}
	}
}

// stepClock sets the clock, seldom far.
func (m *Machine) stepClock() {
	by := m.between(-m.World.Lease, m.World.Lease)
	if m.one(4) {
		by *= 100
	}
	m.offset.Add(by.Nanoseconds())
}
