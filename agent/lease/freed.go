package lease

import (
	"errors"
	"fmt"
)

// Errors of [Item.Freed].
var (
	ErrFree  = errors.New("the id is free already")
	ErrOwner = errors.New("the id is held by another instance")
)

// Freed is the item that frees an id whose owner is dead, at an operator's word.
//
// Only the state changes: the mark stays, so that the next holder emits nothing that the
// dead one may have, and waits for that. An owner that is alive after all finds its lease
// lost when it renews.
func (i Item) Freed(owner string) (Item, error) {
	switch {
	case i.State == Free:
		return Item{}, ErrFree
	case i.Owner != owner:
		return Item{}, fmt.Errorf("%w, %s", ErrOwner, i.Owner)
	}
	i.State = Free
	return i, nil
}
