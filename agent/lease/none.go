package lease

import (
	"fmt"
	"strings"
)

// NoneError is an [ErrNone] with the reasons: of how many ids which was met.
type NoneError struct {
	IDs      int // that the scope gives, without the reserved ones
	Held     int // in use, or not yet past their end: so the items, or the lists, say
	Bad      int // what the table holds of them is no item: `koboshi node-id list` has the reasons
	Ahead    int // their mark is so far ahead of the clock that a lease would not be believed
	Reserved int
	Lost     int // another instance was faster
	Unseen   int // not looked at: the calls of one claim were used up
	Calls    int // of the table
}

// Is makes it an ErrNone.
func (e *NoneError) Is(target error) bool { return target == ErrNone }

func (e *NoneError) Error() string {
	reasons := []string{fmt.Sprintf("%d held", e.Held)}
	for _, r := range []struct {
		n    int
		text string
	}{
		{e.Bad, "not readable as items"}, {e.Ahead, "with a mark too far ahead of the clock"}, {e.Lost, "taken by others meanwhile"},
		{e.Unseen, fmt.Sprintf("not looked at within %d calls", e.Calls)}, {e.Reserved, "reserved"},
	} {
		if r.n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", r.n, r.text))
		}
	}
	return fmt.Sprintf("%s of %d: %s", ErrNone, e.IDs, strings.Join(reasons, ", "))
}
