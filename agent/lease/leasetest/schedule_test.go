package leasetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"slices"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
)

// keeper is the least that keeps a node id by the rules: what it does of its own is only
// the order.
type keeper struct {
	machine *leasetest.Machine
	holder  *lease.Holder
}

func newKeeper(m *leasetest.Machine) leasetest.Agent {
	return &keeper{m, &lease.Holder{
		Table: m.Network(), Scope: leasetest.Scope, Claimant: lease.Claimant{Owner: m.ID, Nonce: m.Nonce()},
		Terms: lease.Terms{Lease: m.World.Lease.Milliseconds(), Slack: m.Slack}, IDs: m.World.IDs, Wait: 2 * time.Second, Now: m.Now,
	}}
}

// kept is a lease.Record on a disk.
type kept struct {
	Record lease.Record `json:"record"`
	Phase  lease.Phase  `json:"phase"`
	Mark   lease.Millis `json:"mark_ms"`
}

func (k *keeper) load() lease.Record {
	var r kept
	_ = json.Unmarshal([]byte(k.machine.Disk.Record), &r) // of a lost disk: none
	r.Record.Phase, r.Record.Mark = r.Phase, r.Mark
	return r.Record
}

func (k *keeper) save(t lease.Tenure, p lease.Phase, mark lease.Millis) {
	r := lease.Record{Instance: k.machine.ID, Boot: k.machine.Boot(), Scope: leasetest.Scope, Tenure: t}
	data, _ := json.Marshal(kept{r, p, mark}) // plain numbers and text
	k.machine.Disk = leasetest.Disk{Record: string(data)}
}

func (k *keeper) resume() (lease.Tenure, lease.Next) {
	return k.load().Resume(k.machine.ID, k.machine.Boot(), leasetest.Scope)
}

func (k *keeper) Up(ctx context.Context) error {
	t, next := k.resume()
	if next == lease.Ask {
		confirmed, err := leasetest.Confirm(ctx, k.holder.Table, t)
		if errors.Is(err, lease.ErrLost) {
			next = lease.ClaimAnew
		} else if err != nil {
			return err
		}
		if t = confirmed; !k.machine.Runs() { // it has ended by itself, or was never started
			t.Floor = max(t.Floor, k.machine.Used())
		}
	}
	if next == lease.ClaimAnew {
		k.machine.StopApp()
		var err error
		if t, err = k.holder.Claim(ctx, t.ID); err != nil {
			return err
		}
		k.save(t, lease.Stopped, t.Floor)
	}
	return k.start(ctx, t)
}

// start is the gate: the app starts once the clock is past what was used before.
func (k *keeper) start(ctx context.Context, t lease.Tenure) error {
	var err error
	if k.machine.Now().UnixMilli() >= t.Until {
		if t, err = k.holder.Renew(ctx, t); err != nil {
			return err
		}
	}
	b := t.Bounds(k.machine.Unit(), k.machine.Slack)
	if k.machine.Runs() {
		k.save(t, lease.Holding, 0)
		k.machine.Tell(b)
		return nil
	}
	for k.machine.Now().UnixMilli() <= b.NotBefore {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(b.NotBefore-k.machine.Now().UnixMilli()+1) * time.Millisecond):
		}
	}
	k.save(t, lease.Holding, 0)
	return k.machine.StartApp(t, b)
}

func (k *keeper) Renew(ctx context.Context) error {
	t, next := k.resume()
	if next != lease.Ask {
		return errors.New("no tenure")
	}
	t, err := k.holder.Renew(ctx, t)
	if errors.Is(err, lease.ErrLost) {
		k.machine.StopApp()
	}
	if err != nil {
		return err
	}
	k.save(t, lease.Holding, 0)
	k.machine.Tell(t.Bounds(k.machine.Unit(), k.machine.Slack))
	return nil
}

// Look has nothing to do: a keeper knows what was used.
func (k *keeper) Look(context.Context) {}

func (k *keeper) Down(context.Context) error {
	if t, next := k.resume(); next == lease.Ask {
		k.save(t, lease.Stopped, max(t.Floor, k.machine.Used()))
	}
	return nil
}

func (k *keeper) Release(ctx context.Context) error {
	t, next := k.resume()
	if next != lease.GoOn {
		return errors.New("no tenure")
	}
	k.save(t, lease.Releasing, t.Floor)
	return k.holder.Release(ctx, t, t.Floor)
}

var (
	first     = flag.Uint64("seed", 0, "the first schedule")
	schedules = flag.Uint64("schedules", 2000, "how many schedules")
)

// No unit of time of an id is used twice in any schedule. One is run again by
// go test ./agent/lease/leasetest -run TestSchedules -args -schedules 1 -seed N.
func TestSchedules(t *testing.T) {
	leasetest.Schedules(t, *first, *schedules, "", newKeeper)
}

// A schedule is the same whenever it is run.
func TestSchedulesAreRepeatable(t *testing.T) {
	for seed := range uint64(20) {
		one, other := leasetest.Run(t, seed, "", newKeeper), leasetest.Run(t, seed, "", newKeeper)
		if one != other {
			t.Errorf("seed %d: %v, then %v", seed, one, other)
		}
	}
}

// Without any one of the rules the schedules find something, and not by what breaks it.
// To find that a generation is kept takes hundreds of them: see make model.
func TestScheduleMutants(t *testing.T) {
	leasetest.Schedules(t, 0, 100, leasetest.Nothing, newKeeper)
	leasetest.Catch(t, slices.DeleteFunc(leasetest.Mutants(), func(m leasetest.Mutant) bool { return m == leasetest.NoGen }), newKeeper)
}
