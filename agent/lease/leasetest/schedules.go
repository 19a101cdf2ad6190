package leasetest

import "testing"

// Schedules runs the schedules of n seeds. One in which a unit of time of an id is used
// twice is an error, and so are too few takeovers, renewals and releases in all of them.
func Schedules(t *testing.T, from, n uint64, m Mutant, begin func(*Machine) Agent) {
	t.Helper()
	var all Outcome
	for seed := from; seed < from+n; seed++ {
		out := Run(t, seed, m, begin)
		if out.Twice != nil {
			t.Fatalf("seed %d: %v", seed, out.Twice)
		}
		all.Add(out)
	}
	t.Logf("%d schedules, seeds %d to %d: %s", n, from, from+n-1, all)
	if least := int(n); all.Takeovers < least || all.Renewals < least || all.Releases < least { //nolint:gosec // few
		t.Error("too little has happened")
	}
}

// mostTries is in how many schedules a mutant has to be caught.
const mostTries = 10_000

// Catch runs schedules until each mutant is caught.
func Catch(t *testing.T, mutants []Mutant, begin func(*Machine) Agent) {
	t.Helper()
	caught := 0
	for _, m := range mutants {
		n, out := uint64(0), Outcome{}
		for ; out.Twice == nil && n < mostTries; n++ {
			out = Run(t, n, m, begin)
		}
		if out.Twice == nil {
			t.Errorf("%s: not caught in %d schedules", m, mostTries)
			continue
		}
		caught++
		t.Logf("%s: caught after %d schedules: %v", m, n, out.Twice)
	}
	t.Logf("%d of %d caught", caught, len(mutants))
}
