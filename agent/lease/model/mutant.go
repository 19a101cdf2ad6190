package model

import "koboshi/agent/lease/leasetest"

// Mutant breaks one rule, as in the schedules. The zero Mutant breaks none.
type Mutant = leasetest.Mutant

// The mutants that only a model looks for.
const (
	SmallSlack     Mutant = "an app overruns its bounds by more than the table has"
	SlackUnchecked Mutant = "a swap is not conditional on the slack"
)

// Mutants are all of them.
func Mutants() []Mutant { return append(leasetest.Mutants(), SmallSlack, SlackUnchecked) }
