package model

// Mutant breaks one rule. The zero Mutant breaks none.
type Mutant string

// The mutants.
const (
	NoFloor          Mutant = "the floor is ignored"
	NoGen            Mutant = "a claim keeps the generation"
	NoNonce          Mutant = "all processes have one nonce"
	LooseRenewal     Mutant = "a renewal is conditional on gen and nonce only"
	OwnValues        Mutant = "after a read the own values count"
	Unconfirmed      Mutant = "a bound is used before it is confirmed"
	Deleted          Mutant = "the item is deleted at release"
	LowMark          Mutant = "the mark is lower than what was used"
	MarkNotDurable   Mutant = "the mark is not durable"
	ReleaseForgotten Mutant = "releasing is not durable"
	SmallSlack       Mutant = "an app overruns its bounds by more than the table has"
	SlackUnchecked   Mutant = "a swap is not conditional on the slack"
)

// Mutants are all of them.
func Mutants() []Mutant {
	return []Mutant{
		NoFloor, NoGen, NoNonce, LooseRenewal, OwnValues, Unconfirmed, Deleted, LowMark, MarkNotDurable, ReleaseForgotten,
		SmallSlack, SlackUnchecked,
	}
}
