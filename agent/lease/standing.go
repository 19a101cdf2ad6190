package lease

import "time"

// Standing is how an id stands at a moment.
type Standing string

// How an id can stand.
const (
	InUse   Standing = "held"
	Ending  Standing = "ending"  // its holder may emit nothing more, but an app that does not look may
	Expired Standing = "expired" // held by an instance that has not renewed it
	Unused  Standing = "free"
)

// Standing is how the id stands at a moment by some clock, and how long after it the next
// holder may emit; less than 0 = since when.
func (i Item) Standing(now Millis) (Standing, time.Duration) {
	left := time.Duration(i.Floor()-now) * time.Millisecond
	switch {
	case i.State == Free:
		return Unused, left
	case i.Takeable(now):
		return Expired, left
	case now > i.HW:
		return Ending, left
	}
	return InUse, left
}
