package agent_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/notice"
	"koboshi/agent/report"
)

func TestNodeIDTwoClaimants(t *testing.T) {
	shared(t, 1, func(_ *testing.T, n *numbers) {
		n.table.Latency(func() time.Duration { return 20 * time.Millisecond })
		reports := n.bootAll()
		a, b := n.all[0], n.all[1]
		if a.tenure().ID == 1 {
			a, b, reports = b, a, []report.Report{reports[1], reports[0]}
		}
		a.stands(reports[0], 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		b.stands(reports[1], 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		n.pass(5 * time.Hour)
		n.tableHas(0, 1, lease.Held, a)
		n.tableHas(1, 1, lease.Held, b)
	})
}

// lost is an answer that is lost after the write took effect.
func lost(skip int) leasetest.Fault {
	return leasetest.Fault{Op: leasetest.Swap, Skip: skip, Times: 1, Err: leasetest.ErrLostAnswer, Applied: true}
}

func TestNodeIDAnswerOfClaimLost(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		n.table.Fail(lost(0))
		a.stands(boot(a), 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		b.stands(boot(b), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		if i := n.tableHas(0, 1, lease.Held, a); i.HW != a.tenure().Until {
			t.Errorf("item %+v, record %+v", i, a.tenure())
		}
		n.pass(5 * time.Hour)
		if i := n.tableHas(0, 1, lease.Held, a); i.HW != a.tenure().Until {
			t.Errorf("item %+v, record %+v", i, a.tenure())
		}
	})
}

// A claim that is lost, and arrives a minute late: at an id that its sender has got
// meanwhile, or that another one has.
func TestNodeIDClaimArrivesLate(t *testing.T) {
	late := leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Minute}}
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		n.table.Fail(late)
		a.stands(boot(a), 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		before := n.tableHas(0, 1, lease.Held, a)
		n.pass(2 * time.Minute)
		if now := n.tableHas(0, 1, lease.Held, a); now != before {
			t.Errorf("before %+v, now %+v", before, now)
		}
	})
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		n.table.Fail(late)
		n.table.Fail(leasetest.Fault{Op: leasetest.Get, Times: 1, Err: leasetest.ErrLostAnswer, Before: func() { b.launched() }})
		a.stands(boot(a), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		before := n.tableHas(0, 1, lease.Held, b)
		n.pass(2 * time.Minute)
		if now := n.tableHas(0, 1, lease.Held, b); now != before {
			t.Errorf("before %+v, now %+v", before, now)
		}
		b.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
	})
}

func TestNodeIDNoneLeft(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		began := time.Now()
		b.stands(boot(b), 22, "no id, running nothing, signals [ABANDON]")
		if took := time.Since(began); took < 14*time.Minute || took > 16*time.Minute {
			t.Errorf("waited %s for an id, with a deadline of 15 min", took)
		}
		n.tableHas(0, 1, lease.Held, a)
		a.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
	})
}

// Ids that the dead hold are taken as soon as their leases have ended, and used above
// what may have been used, which is waited for.
func TestNodeIDAllHeldByTheDead(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		n.pass(time.Minute)
		dead := n.tableHas(0, 1, lease.Held, a)
		a.running = "" // terminated: there was no drain
		a.end()
		a.watchNothing()
		n.pass(55 * time.Minute)
		b.stands(boot(b), 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
		r, now := b.tenure(), time.Now().UnixMilli()
		if r.Floor != dead.HW+dead.Slack || now <= r.Floor || now > r.Floor+time.Minute.Milliseconds() {
			t.Errorf("floor %d at %d, the dead's mark %d and slack %d", r.Floor, now, dead.HW, dead.Slack)
		}
		n.tableHas(0, 2, lease.Held, b)
	})
}

// A holder whose watch hangs past the end of its lease is stopped by PID 1, another one
// takes its id, and it gets none back when it goes on.
func TestNodeIDHolderStopped(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		n.pass(time.Minute)
		a.end() // SIGSTOP: nothing of it goes on
		n.pass(64 * time.Minute)
		if a.running != "" || !slices.Contains(a.story, "PID 1 stops 1") {
			t.Fatalf("it runs on: %q", a.story)
		}
		mark := n.tableHas(0, 1, lease.Held, a)
		b.stands(boot(b), 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
		if r := b.tenure(); r.Floor != mark.HW+mark.Slack {
			t.Errorf("floor %d above the mark %d", r.Floor, mark.HW)
		}
		a.watch() // SIGCONT
		n.pass(5 * time.Minute)
		if a.relaunchs == 0 || !a.tenureEnded() {
			t.Errorf("%d boots, record %+v; warnings %q", a.relaunchs, a.tenure(), a.warnings)
		}
		rep := boot(a)
		a.stands(rep, 22, fmt.Sprintf("id 0, generation 1, %s, running nothing, signals [CONTINUE]", lease.Stopped))
		n.tableHas(0, 2, lease.Held, b)
		b.stands(report.Report{}, 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
	})
}

func TestNodeIDAnswerOfRenewalLost(t *testing.T) {
	for name, f := range map[string]leasetest.Fault{
		"lost":          lost(0),
		"never arrived": {Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer},
		"a minute late": {Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Minute}},
		"an hour late":  {Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Hour}},
		"twice":         {Op: leasetest.Swap, Times: 1, Again: []time.Duration{time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 1, func(t *testing.T, n *numbers) {
				a := n.all[0]
				a.launched()
				var marks []lease.Millis
				n.table.Watch(func(_ int, _, is *lease.Item) { marks = append(marks, is.HW) })
				n.table.Fail(f)
				n.pass(3 * time.Hour)
				a.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
				if i := n.tableHas(0, 1, lease.Held, a); i.HW != a.tenure().Until || !slices.IsSorted(marks) || len(marks) < 8 || a.restarts != 1 {
					t.Errorf("item %+v, record %+v, marks %v, %d starts", i, a.tenure(), marks, a.restarts)
				}
			})
		})
	}
}

// The answer of a release is lost, or the release is, or it comes later: the drain goes on,
// and the next holder is above the mark.
func TestNodeIDAnswerOfReleaseLost(t *testing.T) {
	for name, c := range map[string]struct {
		fault leasetest.Fault
		free  time.Duration // after the drain
	}{
		"lost":          {lost(0), 0},
		"never arrived": {leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer}, 66 * time.Minute},
		"a minute late": {leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{2 * time.Minute}}, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 0, func(t *testing.T, n *numbers) {
				a, b := n.all[0], n.all[1]
				a.launched()
				n.pass(time.Minute)
				used := time.Now().UnixMilli()
				n.table.Fail(c.fault)
				a.hook, a.inState = "koboshi-terminating", "Terminating:Wait"
				a.now(notice.Levels{Target: "Terminated"})
				n.pass(time.Minute)
				if a.running != "" || fmt.Sprint(a.signals) != "[CONTINUE CONTINUE]" || !slices.Equal(a.drains, []string{"drained terminated"}) || a.tenure().Phase == lease.Holding {
					t.Errorf("running %q, signals %v, drains %v, record %+v", a.running, a.signals, a.drains, a.tenure())
				}
				n.pass(c.free)
				b.stands(boot(b), 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
				if r := b.tenure(); r.Floor < used {
					t.Errorf("floor %d, used up to %d", r.Floor, used)
				}
				n.tableHas(0, 2, lease.Held, b)
				n.pass(time.Hour)
			})
		})
	}
}

// A table that is away at a launch ends it after its deadline; after a power cut the app
// stays down, and nothing is signalled twice.
func TestNodeIDTableDownAtBoot(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		b.launched()
		n.table.Down(os.ErrDeadlineExceeded)
		a.stands(boot(a), 22, "no id, running nothing, signals [ABANDON]")
		before := b.tenure()
		b.powerCycle(false, time.Minute)
		b.stands(boot(b), 22, fmt.Sprintf("id %d, generation 1, held, running nothing, signals [CONTINUE]", before.ID))
		n.table.Down(nil)
		n.pass(10 * time.Minute)
		if b.relaunchs == 0 {
			t.Errorf("the boot was not started again; warnings %q", b.warnings)
		}
		b.stands(boot(b), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
	})
}

// While PID 1 cannot be told of renewals it stops the app when it was told to, and the
// app is started again: the watch does not take the lease for the moment of the stop.
func TestNodeIDStopNotArmed(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		a.gate.Lock()
		a.armErr = errors.New("no bus")
		a.gate.Unlock()
		n.pass(70 * time.Minute)
		if a.running != "" || a.relaunchs == 0 {
			t.Errorf("running %q, %d boots; warnings %q", a.running, a.relaunchs, a.warnings)
		}
		a.gate.Lock()
		a.armErr = nil
		a.gate.Unlock()
		a.stands(boot(a), 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
	})
}
