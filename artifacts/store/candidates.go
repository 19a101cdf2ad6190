package store

import (
	"cmp"
	"slices"
)

// Candidates is every release that could run on an instance, best first: those
// that passed the gate on it; then the current one; then those that passed it
// elsewhere; and last those that were only installed. Within each kind the
// latest comes first, by a counter and never by the clock. All but the first
// kind still have to pass the gate here.
func (s *Store) Candidates(instance string) ([]Release, error) {
	all, err := s.Releases()
	current, _, _ := s.Current() // where the link is broken there is none
	slices.SortStableFunc(all, func(a, b Release) int {
		return cmp.Or(
			cmp.Compare(b.orderOn(instance), a.orderOn(instance)),
			isCurrent(b, current)-isCurrent(a, current),
			cmp.Compare(b.healthy.Order, a.healthy.Order),
			cmp.Compare(b.made.Order, a.made.Order),
		)
	})
	return all, err
}

func isCurrent(r, current Release) int {
	if r.id == current.id {
		return 1
	}
	return 0
}

// orderOn is when the release passed the gate on the instance, 0 if it did not.
func (r Release) orderOn(instance string) int64 {
	if r.HealthyOn(instance) {
		return r.healthy.Order
	}
	return 0
}

// LastKnownGood is the release that was the last to pass the gate on the instance.
func (s *Store) LastKnownGood(instance string) (Release, bool, error) {
	all, err := s.Candidates(instance)
	if err != nil || len(all) == 0 || !all[0].HealthyOn(instance) {
		return Release{}, false, err
	}
	return all[0], true, nil
}
