package lease

import (
	"errors"
	"fmt"
)

// Claimant is a process that claims, and holds.
type Claimant struct {
	Owner string // instance id
	Nonce Nonce  // its own, for all of its claims
}

// Terms are how long a holder may go on without the table, all in milliseconds.
type Terms struct {
	Lease Millis // from a renewal to its end
	Slack Millis // how far the app may overrun it, by its own clock; 0 = it looks
}

// Tenure is what a holder knows of its lease: it may emit in (Floor, Until] only.
type Tenure struct {
	ID    int
	Gen   int64
	Nonce Nonce
	Floor Millis
	Until Millis // confirmed by the table, not what was asked for
	Slack Millis // that the next holder leaves above Until, confirmed like it
}

// Mine reports whether an item is that of the tenure.
func (t Tenure) Mine(i Item) bool { return i.State == Held && i.Gen == t.Gen && i.Nonce == t.Nonce }

// ErrHeld is an id that may be in use.
var ErrHeld = errors.New("the id is held")

// ErrLost is a lease that is someone else's now, or was ended: the app must not go on.
var ErrLost = errors.New("the lease of the node id is lost")

// Takeable reports whether the item may be claimed: it is free, or its holder's app has
// stopped by the clock now. A clock that is wrong here costs no safety: the new holder's
// floor is above what the old one may use, and the new app waits for that.
func (i Item) Takeable(now Millis) bool { return i.State == Free || now > i.HW+i.Slack }

// Floor is what the next holder has to stay above.
func (i Item) Floor() Millis { return i.HW + i.Slack }

// Claim is the item that a claim writes over old, nil where the id has none yet, and the
// tenure that it begins if it is stored.
//
// The mark lies above the old one, whatever the clock says.
func (c Claimant) Claim(scope string, id int, old *Item, terms Terms, now Millis) (Item, Tenure, error) {
	claimed := Item{Schema: schema, Scope: scope, ID: id, Gen: 1, State: Held, Owner: c.Owner, Nonce: c.Nonce, Slack: terms.Slack}
	floor := Millis(-1) // nothing was ever emitted: even the first millisecond may be
	if old != nil {
		if !old.Takeable(now) {
			return Item{}, Tenure{}, fmt.Errorf("%w by %s until %d", ErrHeld, old.Owner, old.Floor())
		}
		if old.Gen >= maxGen {
			return Item{}, Tenure{}, fmt.Errorf("%w: generation %d is the last one", ErrItem, old.Gen)
		}
		claimed.Gen = old.Gen + 1
		floor = old.Floor()
	}
	claimed.HW = max(now, floor) + terms.Lease
	return claimed, Tenure{ID: id, Gen: claimed.Gen, Nonce: c.Nonce, Floor: floor, Until: claimed.HW, Slack: claimed.Slack}, nil
}

// Renew is the item that a renewal writes over the one that was read. The mark never
// falls. An item that is not the tenure's is ErrLost.
func (t Tenure) Renew(read Item, terms Terms, now Millis) (Item, error) {
	if !t.Mine(read) {
		return Item{}, ErrLost
	}
	read.HW = max(read.HW, max(now, t.Floor)+terms.Lease)
	read.Slack = max(read.Slack, terms.Slack)
	return read, nil
}

// Confirmed is the tenure after the table was seen to hold the item: what that says
// counts, not what was asked for.
func (t Tenure) Confirmed(i Item) (Tenure, error) {
	if !t.Mine(i) {
		return t, ErrLost
	}
	t.Until, t.Slack = i.HW, i.Slack
	return t, nil
}

// Release is the item that frees the id: its mark is the last moment that can have been
// used, which must be durable before, and its app has stopped. An item that is not the
// tenure's is ErrLost: it was released, or taken over, already.
//
// An app that does not look may have used more than the table allowed, so the mark
// counts even where it is above that.
func (t Tenure) Release(read Item, mark Millis) (Item, error) {
	if !t.Mine(read) {
		return Item{}, ErrLost
	}
	read.State, read.HW, read.Slack = Free, max(mark, t.Floor, 0), 0
	return read, nil
}
