package tree

import (
	"context"
	"errors"
	"math"
)

// Faults is all the reasons for which entries, parents first, are refused as a
// tree; [ReadIndex] returns only the first. A path that is refused counts as
// missing for the links that lead to it.
func Faults(entries []Entry) (faults []*RefusedError) {
	seen := map[RefusedError]bool{}
	note := func(err error) {
		if fault, ok := errors.AsType[*RefusedError](err); ok && !seen[*fault] {
			seen[*fault] = true
			faults = append(faults, fault)
		}
	}
	l := newListing(Limits{Bytes: math.MaxInt64, Entries: MaxEntries})
	for i := range entries {
		note(l.addIndexed(&entries[i]))
	}
	for _, n := range l.order {
		if n.Type == TypeSymlink {
			note(l.follow(n, 1))
		}
	}
	return faults
}

// Check checks entries, parents first, as [ReadIndex] does what it has read.
func Check(ctx context.Context, entries []Entry, limits Limits) error {
	l := newListing(limits)
	for i := range entries {
		if err := l.addIndexed(&entries[i]); err != nil {
			return err
		}
	}
	return l.checkLinks(ctx)
}
