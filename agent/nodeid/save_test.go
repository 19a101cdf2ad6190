package nodeid

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/state"
	"koboshi/systemd"
)

// service is an app in tests. limits is called when its limits are asked for.
type service struct {
	limits  func()
	armErr  error
	running bool
}

func (s *service) Running(context.Context) (bool, error) { return s.running, nil }

func (s *service) Stop(context.Context) error { s.running = false; return nil }

func (s *service) Limits(context.Context) (stop, restart time.Duration, err error) {
	if s.limits != nil {
		s.limits()
	}
	return time.Second, systemd.Endless, nil
}

func (s *service) Arm(context.Context, time.Time) error { return s.armErr }

func (s *service) Disarm(context.Context) error { return nil }

// newNode is a node of a machine that is watched, with an empty table.
func newNode(t *testing.T) (*Node, *service, *leasetest.Memory) {
	t.Helper()
	app, table := &service{}, leasetest.NewMemory(leasetest.Objects, "web")
	n := &Node{
		Config: config.NodeID{
			Scope: "web", Range: [2]int{0, 1023}, Split: [2]int{5, 5}, Lease: config.Duration(time.Hour), Renew: config.Duration(20 * time.Minute),
			Quarantine: config.Duration(5 * time.Minute), Unit: config.Duration(time.Millisecond), Wait: config.Duration(30 * time.Second), Required: true,
		},
		Instance: instance.Identity{ID: self}, Tables: func(string) (lease.Table, error) { return table, nil }, Nonce: lease.Nonce{1},
		Clock: state.Clock{Boot: "one", Uptime: func() time.Duration { return time.Minute }}, Now: time.Now,
		State: open(t), Run: open(t), App: app, Warn: t.Logf,
	}
	unlock, err := state.LockWatch(t.Context(), n.Run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	if err := n.Keep(); err != nil {
		t.Fatal(err)
	}
	return n, app, table
}

// unwritable has the disk take no record from now on.
func (n *Node) unwritable(t *testing.T) {
	t.Helper()
	if err := n.State.Remove(RecordFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := n.State.Mkdir(RecordFile, 0o700); err != nil {
		t.Error(err)
	}
}

// A claim that the disk does not take is given back: else each attempt locks another id
// away from everybody.
func TestClaimThatIsNotRecorded(t *testing.T) {
	n, _, table := newNode(t)
	n.unwritable(t)
	for range 3 {
		if note, err := n.Hold(t.Context()); !errors.Is(err, ErrNodeID) {
			t.Fatalf("%q, %v", note, err)
		}
	}
	if len(table.Items()) == 0 {
		t.Error("nothing was claimed")
	}
	for _, i := range table.Items() {
		if i.State != lease.Free {
			t.Errorf("the table has %+v", i)
		}
	}
}

// A claim that the disk has taken, although it said otherwise, is not given back: the
// next process may go on with it without a call.
func TestClaimThatMayBeRecorded(t *testing.T) {
	n, _, _ := newNode(t)
	if _, err := n.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, _, err := n.load()
	if err != nil || n.unknown(r.Tenure()) {
		t.Errorf("%+v is taken for unknown (%v)", r, err)
	}
	other := r.Tenure()
	other.Gen++
	if !n.unknown(other) {
		t.Errorf("%+v is taken for known", other)
	}
}

// A disk that takes no record is found out while the app still runs.
func TestHoldOnFullDisk(t *testing.T) {
	n, app, _ := newNode(t)
	if _, err := n.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.limits = func() { n.unwritable(t) }
	if note, err := n.Hold(t.Context()); !errors.Is(err, ErrNodeID) {
		t.Errorf("%q, %v", note, err)
	}
}

// A renewal after which the stop could not be armed is none: what is recorded is when PID 1
// stops the app, and it is tried again soon.
func TestRenewalThatIsNotArmed(t *testing.T) {
	n, app, _ := newNode(t)
	_, err := n.Hold(t.Context())
	if err = errors.Join(err, n.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	before, _, _ := n.load()
	app.armErr = errors.New("no bus")
	n.Now = func() time.Time { return time.Now().Add(20 * time.Minute) }
	n.Clock.Uptime = func() time.Duration { return 21 * time.Minute }
	if err := n.Renew(t.Context()); err == nil {
		t.Error("the renewal succeeded")
	}
	if r, _, _ := n.load(); r.Stop != before.Stop || r.Until != before.Until || r.Failures != 1 || r.Failure == "" {
		t.Errorf("before %+v, now %+v", before, r)
	}
	app.armErr = nil
	if err := n.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	if r, _, _ := n.load(); r.Stop <= before.Stop || r.Until <= before.Until || r.Failures != 0 {
		t.Errorf("before %+v, now %+v", before, r)
	}
}

// A lease that someone else has ended stops the app when it would be renewed.
func TestRenewalOfLostLease(t *testing.T) {
	n, app, table := newNode(t)
	_, err := n.Hold(t.Context())
	if err = errors.Join(err, n.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	app.running = true
	r, _, _ := n.load()
	seen, err := table.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.FreeDead(t.Context(), table, seen, self, time.Now()); err != nil {
		t.Fatal(err)
	}
	n.claims = nil // another process renews
	if err := n.Renew(t.Context()); !errors.Is(err, lease.ErrLost) || app.running || !n.Wanted() {
		t.Errorf("%v, running %t, wanted %t", err, app.running, n.Wanted())
	}
	if r, _, _ := n.load(); r.Phase != lease.Stopped {
		t.Errorf("record %+v", r)
	}
}
