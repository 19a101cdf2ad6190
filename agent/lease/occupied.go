package lease

import (
	"context"
	"time"
)

// MaxApart is how far a machine's clock may be from the table's: with more it neither
// claims nor renews.
const MaxApart = apart

// Listed lists the ids from first to last that have something stored, in order. What
// lists leave out is not read, so this costs few calls.
func Listed(ctx context.Context, t Table, first, last int) ([]Stored, error) {
	return listRange(ctx, t, first, last)
}

// Occupied reports whether an id is not to be given now, as far as a list or a read of it
// shows. Where that shows no item, a holder that has not renewed for the time that an id
// is locked, its lease and quarantine, is taken for gone.
func (s Stored) Occupied(locked time.Duration, now time.Time) bool {
	switch {
	case !s.Exists:
		return false
	case s.Bad != nil:
		return true
	case s.Item != nil:
		return !s.Item.Takeable(now.UnixMilli())
	case s.State == Free:
		return false
	}
	return s.Modified.IsZero() || now.Sub(s.Modified) <= locked
}
