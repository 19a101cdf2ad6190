package lease

import (
	"context"
	"errors"
	"time"
)

// Table holds the items of one scope. Many goroutines, and many machines, may use it at
// once.
type Table interface {
	// Get reads the item of an id as it is now.
	Get(ctx context.Context, id int) (Stored, error)

	// Swap stores next in place of old, if the id still has exactly what was read as
	// old, or nothing where that was nothing. It returns what is stored then.
	//
	// ErrChanged means that this request has stored nothing. An earlier one of the same
	// call, whose answer was lost, may have. If the table tells what is there instead, it
	// is returned, with Exists set. Every other error leaves open whether next was stored,
	// or will be. After any error the caller goes by what is there: that, or a read.
	Swap(ctx context.Context, old Stored, next Item) (Stored, error)

	// List yields what is known of the ids of a shard that have an item, in no order.
	// Items are read only where that costs no further call.
	List(ctx context.Context, shard int) ([]Stored, error)

	// ShardSize is how many ids, from shard times ShardSize on, one List tells of.
	ShardSize() int

	// String is where the table is, for people.
	String() string
}

// Errors of Swap that a caller decides by.
var (
	ErrChanged = errors.New("the item has changed")                     // the id had no longer what was read
	ErrBusy    = errors.New("another write of the item is in progress") // what will be stored is open
)

// Stored is an id as a table has it.
type Stored struct {
	ID       int
	Exists   bool      // there is something
	Item     *Item     // nil = there is none, it was not read, or it is no item
	State    State     // what a list lets one expect of an item that it has not read; "" = nothing
	Bad      error     // why what is there is no item, [ErrItem]; such an id is left alone
	Version  string    // what Swap compares by, opaque
	Modified time.Time // when it was stored last, by the table's clock; zero = not known
	Date     time.Time // the table's clock when it answered; zero = not known
}

// parse is the item in what is stored of an id, or why there is none.
func (s Stored) parse(data []byte, scope string, now time.Time) (*Item, error) {
	i, err := Parse(data, scope, s.ID, now.UnixMilli())
	if err != nil {
		return nil, err
	}
	return &i, nil
}
