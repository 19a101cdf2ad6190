package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of [FreeDead], beside ErrItem, ErrChanged and those of the table.
var (
	ErrFree    = errors.New("the id is free already")
	ErrOwner   = errors.New("the id is held by another instance")
	ErrRenewed = errors.New("the id was renewed meanwhile: its instance is alive")
)

// Freed is the item that frees an id whose owner is dead, at an operator's word. Errors
// are ErrFree, ErrOwner, and ErrItem for what is no item.
//
// Only the state changes: the mark stays, so that the next holder emits nothing that the
// dead one may have, and waits for that. An owner that is alive after all finds its lease
// lost when it renews.
func (s Stored) Freed(owner string, now time.Time) (Item, error) {
	switch {
	case s.Bad != nil:
		return Item{}, s.Bad
	case s.Item == nil:
		return Item{}, fmt.Errorf("%w: it was never given", ErrFree)
	case s.Item.State == Free:
		return Item{}, ErrFree
	case s.Item.Owner != owner:
		return Item{}, fmt.Errorf("%w, %s", ErrOwner, s.Item.Owner)
	}
	freed := *s.Item
	freed.State, freed.Written = Free, now.UTC().Truncate(time.Second)
	return freed, nil
}

// FreeDead frees the id of an owner that is dead, at an operator's word, if it is still as the
// operator has seen it. Errors are those of [Stored.Freed]; ErrRenewed and ErrChanged where
// it is not as it was; and the table's, after which it is not known whether it is free.
func FreeDead(ctx context.Context, t Table, seen Stored, owner string, now time.Time) (Item, error) {
	freed, err := seen.Freed(owner, now)
	if err != nil {
		return Item{}, err
	}
	_, failed := t.Swap(ctx, seen, freed)
	if failed == nil {
		return freed, nil
	}
	found, err := t.Get(ctx, seen.ID)
	if err != nil {
		return Item{}, fmt.Errorf("%w, then: %w", failed, err)
	}
	return freed.settle(found, failed)
}

// settle is what has become of a write whose answer says nothing, by what is found.
func (i Item) settle(found Stored, failed error) (Item, error) {
	is := found.Item
	switch {
	case is == nil || is.Gen != i.Gen || is.Nonce != i.Nonce: // it was given to another one meanwhile
	case is.State == Free && is.HW == i.HW && is.Slack == i.Slack: // this write, or that of another operator
		return *is, nil
	case is.State == Held && is.HW > i.HW:
		return Item{}, ErrRenewed
	}
	return Item{}, failed
}
