package model

import (
	"strings"
	"testing"

	"koboshi/agent/lease/leasetest"
)

// quick are the worlds that every test run explores whole.
var quick = []Bounds{
	{Procs: 2, IDs: 1, Last: 1, Unit: 1, Claims: 2, Requests: 2, Crashes: 1, States: 200_000},
	{Procs: 2, IDs: 1, Last: 2, Unit: 1, Slack: 1, Claims: 2, Requests: 1, Repeats: 1, Crashes: 1, States: 200_000},
	{Procs: 2, IDs: 1, Last: 3, Unit: 2, Claims: 2, Requests: 1, States: 200_000},
}

func TestRulesHold(t *testing.T) {
	if states := holds(t, quick); states < 100_000 {
		t.Errorf("%d states, want 100,000", states)
	}
}

// holds explores worlds whole, and returns how many states there were.
func holds(t *testing.T, worlds []Bounds) (states int) {
	t.Helper()
	for _, b := range worlds {
		found, err := Explore(b, "")
		t.Logf("%s: %d states, depth %d", b, found.States, found.Depth)
		if err != nil || found.Clash != nil {
			t.Errorf("%s: %v\n%s", b, err, strings.Join(found.Clash, "\n"))
		}
		states += found.States
	}
	t.Logf("%d states in all", states)
	return states
}

// broken is for each mutant a world in which it is found soon.
var broken = map[Mutant]Bounds{
	leasetest.NoFloor:          {Procs: 2, IDs: 1, Last: 1, Unit: 1, Claims: 2, Requests: 1, States: 10_000},
	leasetest.NoGen:            {Procs: 1, IDs: 1, Last: 1, Unit: 1, Claims: 3, Requests: 2, Repeats: 1, States: 50_000},
	leasetest.NoNonce:          {Procs: 2, IDs: 1, Last: 0, Unit: 1, Claims: 1, Requests: 2, States: 10_000},
	leasetest.LooseRenewal:     {Procs: 1, IDs: 1, Last: 2, Unit: 1, Claims: 2, Requests: 2, States: 50_000},
	leasetest.OwnValues:        {Procs: 2, IDs: 1, Last: 1, Unit: 1, Claims: 2, Requests: 2, States: 10_000},
	leasetest.Unconfirmed:      {Procs: 2, IDs: 1, Last: 1, Unit: 1, Claims: 2, Requests: 2, States: 10_000},
	leasetest.Deleted:          {Procs: 1, IDs: 1, Last: 0, Unit: 1, Claims: 2, Requests: 1, States: 10_000},
	leasetest.LowMark:          {Procs: 1, IDs: 1, Last: 1, Unit: 1, Claims: 2, Requests: 1, States: 10_000},
	leasetest.MarkNotDurable:   {Procs: 1, IDs: 1, Last: 0, Unit: 1, Claims: 1, Requests: 1, Crashes: 1, States: 10_000},
	leasetest.ReleaseForgotten: {Procs: 2, IDs: 1, Last: 1, Unit: 1, Claims: 2, Requests: 1, States: 10_000},
	SmallSlack:                 {Procs: 2, IDs: 1, Last: 1, Unit: 1, Slack: 1, Claims: 2, Requests: 1, Crashes: 1, States: 10_000},
}

// Each rule is needed: without it two holders use one unit of time, or one uses it twice.
func TestMutants(t *testing.T) {
	caught(t, broken)
}

// caught explores a world for each mutant and logs the shortest way to a clash.
func caught(t *testing.T, worlds map[Mutant]Bounds) {
	t.Helper()
	n := 0
	for _, m := range Mutants() {
		b, ok := worlds[m]
		if !ok {
			continue
		}
		found, err := Explore(b, m)
		if err != nil || found.Clash == nil {
			t.Errorf("%s: not caught in %d states (%v) of %s", m, found.States, err, b)
			continue
		}
		n++
		t.Logf("%s: caught after %d states:\n%s", m, found.States, strings.Join(found.Clash, "\n"))
	}
	t.Logf("%d of %d caught", n, len(worlds))
}

// The worlds in which the mutants are caught have nothing else that would clash.
func TestMutantsAreTheReason(t *testing.T) {
	for m, b := range broken {
		b.States = 1_000_000
		if found, err := Explore(b, ""); err != nil || found.Clash != nil {
			t.Errorf("%s: %+v, %v without it", m, found, err)
		}
	}
}

// A bound that cuts states off is an error: nothing is known then.
func TestNothingIsCutOff(t *testing.T) {
	cut := quick[0]
	cut.States = 1000
	if _, err := Explore(cut, ""); err == nil {
		t.Error("a world that was cut off passes for a whole one")
	}
	large := quick[0]
	large.Last = maxMillis
	if _, err := Explore(large, ""); err == nil {
		t.Error("a world that is larger than a state passes")
	}
}
