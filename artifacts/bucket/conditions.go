package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
)

// Conditions is what a store makes of the condition of a write.
type Conditions string

// What a store can make of it.
const (
	Honoured Conditions = "honoured" // a write whose condition is not met is refused
	Ignored  Conditions = "ignored"  // it is stored, and what another writer has stored is lost
	Unknown  Conditions = "unknown"  // the probe was denied
)

// NoObject is the ETag of no object: a write with this condition is refused by every
// store that honours conditions.
const NoObject = `"00000000000000000000000000000000"`

// ProbeConditions finds out whether a store honours Condition.ETag: it writes a
// small object of its own, in directory ("" or with a slash at its end), under a
// condition that cannot be met. A store that honours it gets one request and stores
// nothing. Where it has stored the object, that is overwritten once more, since some
// stores honour conditions only for existing objects, and deleted if that is allowed.
func ProbeConditions(ctx context.Context, b Bucket, directory string) (Conditions, error) {
	key := directory + "probe-" + strings.ToLower(rand.Text())
	found, err := probe(ctx, b, key, Condition{ETag: NoObject})
	if found != Ignored {
		return found, err
	}
	defer func() { _ = b.Delete(context.WithoutCancel(ctx), key) }() // nothing depends on it
	return probe(ctx, b, key, Condition{ETag: NoObject})
}

// probe writes under a condition that is not met.
func probe(ctx context.Context, b Bucket, key string, when Condition) (Conditions, error) {
	const text = "a write of koboshi that the store should have refused; it may be deleted\n"
	_, err := b.Put(ctx, key, strings.NewReader(text), int64(len(text)), when)
	switch {
	case err == nil:
		return Ignored, nil
	case errors.Is(err, ErrChanged), errors.Is(err, ErrExists):
		return Honoured, nil
	case errors.Is(err, ErrDenied):
		return Unknown, nil
	}
	return Unknown, err
}
