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
	// ErrChanged is certain: nothing was stored, and if the table tells what is there
	// instead, it is returned. Every other error leaves open whether next was stored, or
	// will be. The caller reads the id.
	Swap(ctx context.Context, old Stored, next Item) (Stored, error)

	// List yields what is known of the ids of a shard that have an item, in no order.
	// Items are read only where that costs no further call.
	List(ctx context.Context, shard int) ([]Stored, error)

	// ShardSize is how many ids, from shard times ShardSize on, one List tells of.
	ShardSize() int

	// String is where the table is, for people.
	String() string
}

// ErrChanged is an id that had no longer what was read.
var ErrChanged = errors.New("the item has changed")

// Stored is an id as a table has it.
type Stored struct {
	ID       int
	Exists   bool      // there is something
	Item     *Item     // nil = there is none, it was not read, or it is no item
	Bad      error     // why what is there is no item, [ErrItem]; such an id is left alone
	Version  string    // what Swap compares by, opaque
	Modified time.Time // when it was stored last, by the table's clock; zero = not known
	Date     time.Time // the table's clock when it answered; zero = not known
}
