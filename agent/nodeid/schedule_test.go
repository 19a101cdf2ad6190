package nodeid

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/agent/config"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/state"
	"koboshi/systemd"
)

// walker is a process of koboshi on a machine of a schedule: it does what the walk, the
// watch and the drain do with a [Node].
type walker struct {
	machine *leasetest.Machine
	node    *Node
}

// disks are what the machines of schedules have, one after the other.
type disks map[string]struct{ state, run *os.Root }

// newDisks has those of eight machines, on all of which a watch seems to run. They are in
// memory where that can be: each record is synced.
func newDisks(t *testing.T) disks {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	d := disks{}
	for n := range 8 {
		one := d[fmt.Sprintf("i-%d", n)]
		for _, root := range []**os.Root{&one.state, &one.run} {
			var err error
			if *root, err = os.OpenRoot(t.TempDir()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = (*root).Close() })
		}
		unlock, err := state.LockWatch(t.Context(), one.run)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(unlock)
		d[fmt.Sprintf("i-%d", n)] = one
	}
	return d
}

// begin begins a process on a machine.
func (d disks) begin(m *leasetest.Machine) leasetest.Agent {
	disk, table := d[m.ID], m.Network()
	_ = disk.state.Remove(RecordFile)
	if m.Disk.Record != "" {
		_ = disk.state.WriteFile(RecordFile, []byte(m.Disk.Record), 0o600)
	}
	m.Sync = func() {
		data, _ := disk.state.ReadFile(RecordFile) // none = nothing is known
		m.Disk = leasetest.Disk{Record: string(data)}
	}
	w := &walker{machine: m}
	w.node = &Node{
		Config: config.NodeID{
			Scope: leasetest.Scope, Range: [2]int{m.World.IDs.First, m.World.IDs.Last}, Split: [2]int{10, 10},
			Lease: config.Duration(m.World.Lease), Renew: config.Duration(m.World.Lease / 4), Quarantine: config.Duration(time.Duration(m.Slack) * time.Millisecond),
			Unit: config.Duration(m.World.Unit), Margin: config.Duration(time.Second), Wait: config.Duration(2 * time.Second), Aware: m.Slack == 0, Required: true,
		},
		Instance: instance.Identity{ID: m.ID}, Tables: func(string) (lease.Table, error) { return table, nil }, Nonce: m.Nonce(),
		Clock: state.Clock{Boot: m.Boot(), Uptime: m.Uptime}, Now: m.Now, State: disk.state, Run: disk.run, App: w, Warn: func(string, ...any) {},
	}
	if err := w.node.Keep(); err != nil { // as the watch does
		panic(err)
	}
	return w
}

func (w *walker) Running(context.Context) (bool, error) { return w.machine.Runs(), nil }

func (w *walker) Stop(context.Context) error { w.machine.StopApp(); return nil }

func (w *walker) Limits(context.Context) (stop, restart time.Duration, err error) {
	return time.Second, systemd.Endless, nil
}

// Arm and Disarm are PID 1: a machine stops its app as late as it may.
func (w *walker) Arm(context.Context, time.Time) error { return nil }

func (w *walker) Disarm(context.Context) error { return nil }

func (w *walker) Up(ctx context.Context) error {
	if w.machine.Runs() {
		w.Look(ctx)
		return nil
	}
	if err := w.node.Down(ctx); err != nil {
		return err
	}
	if _, err := w.node.Hold(ctx); err != nil {
		return err
	}
	if err := w.node.Start(ctx); err != nil {
		return err
	}
	r, _, err := Load(w.node.State)
	if err != nil {
		return err
	}
	return w.machine.StartApp(r.Tenure(), w.told())
}

// told is what the app's file says.
func (w *walker) told() (b lease.Bounds) {
	var is told
	if data, err := w.node.Run.ReadFile(AppFile); err == nil && json.Unmarshal(data, &is) == nil {
		return lease.Bounds{NotBefore: is.NotBefore, ValidUntil: is.ValidUntil}
	}
	return lease.Bounds{NotBefore: 1 << 60}
}

func (w *walker) Look(ctx context.Context) { _, _ = w.node.Tend(ctx) }

func (w *walker) Renew(ctx context.Context) error {
	w.Look(ctx)
	if err := w.node.Renew(ctx); err != nil {
		return err
	}
	w.machine.Tell(w.told())
	return nil
}

func (w *walker) Down(ctx context.Context) error { return w.node.Down(ctx) }

func (w *walker) Release(ctx context.Context) error {
	_, err := w.node.Release(ctx)
	return err
}

var (
	first     = flag.Uint64("seed", 0, "the first schedule")
	schedules = flag.Uint64("schedules", 200, "how many schedules")
)

// No unit of time of an id is used twice in any schedule. One is run again by
// go test ./agent/nodeid -run TestSchedules -args -schedules 1 -seed N.
func TestSchedules(t *testing.T) {
	leasetest.Schedules(t, *first, *schedules, "", newDisks(t).begin)
}

// Whatever rule is broken beneath it, the schedules find it, and not by what breaks it. To
// find that a generation is kept takes many of them: see make model.
func TestScheduleMutants(t *testing.T) {
	begin := newDisks(t).begin
	leasetest.Schedules(t, 0, 50, leasetest.Nothing, begin)
	leasetest.Catch(t, slices.DeleteFunc(leasetest.Mutants(), func(m leasetest.Mutant) bool { return m == leasetest.NoGen }), begin)
}
