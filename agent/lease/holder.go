package lease

import (
	"context"
	"errors"
	"time"
)

// Holder claims, renews and releases ids of one scope for one instance. Its maker sets
// every field.
type Holder struct {
	Table    Table
	Scope    string
	Claimant Claimant
	Terms    Terms
	IDs      IDs
	Wait     time.Duration // for a mark ahead of the clock, before another id is tried
	Now      func() time.Time
}

// IDs are those that a scope gives.
type IDs struct {
	First, Last int
	Reserved    []int // never given
	Lowest      bool  // the lowest that can be had, in place of one chosen by the instance's id
}

// Errors of a [Holder]. Every other one is the table's, after which nothing is known but
// what a read has shown.
var (
	ErrNone  = errors.New("no node id can be had")                   // each is held, or not an item
	ErrClock = errors.New("this machine's clock is not the table's") // more than two minutes apart
)

// Claim takes an id that can be had. Those to avoid, such as one that this instance held
// before a power cut, are taken only where there is no other.
func (h *Holder) Claim(_ context.Context, _ ...int) (Tenure, error) {
	return Tenure{}, errors.ErrUnsupported
}

// Confirm reads whether the tenure goes on, and until when. Errors are ErrLost and the
// table's.
func (h *Holder) Confirm(_ context.Context, t Tenure) (Tenure, error) {
	return t, errors.ErrUnsupported
}

// Renew moves the end of the tenure. Errors are ErrLost, ErrClock and the table's, after
// which the tenure has the end that it had.
func (h *Holder) Renew(_ context.Context, t Tenure) (Tenure, error) {
	return t, errors.ErrUnsupported
}

// Release ends the tenure, whose app has stopped and has used nothing above mark. That it
// is over already is no error. After any other error it frees itself when its end has
// passed.
func (h *Holder) Release(_ context.Context, _ Tenure, _ Millis) error {
	return errors.ErrUnsupported
}
