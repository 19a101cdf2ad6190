package publish

import (
	"bytes"
	"context"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// Conditions is how far a write was compare-and-swap, as far as is known: one of
// [bucket.Conditions], or NoETag.
type Conditions = bucket.Conditions

// NoETag is a store, or a proxy before it, whose ETags cannot be matched: a
// document is replaced without a condition.
const NoETag Conditions = "no-etag"

// probe finds out what a store makes of the condition under which the document is
// replaced.
func (d document) probe(ctx context.Context, b bucket.Bucket, directory string) (Conditions, error) {
	if d.etag == "" {
		return NoETag, nil
	}
	return bucket.ProbeConditions(ctx, b, directory)
}

// readBack reads the pointer that was just written. Where another one is there
// already, ours was lost with a store that ignores conditions; with any other
// store it is the one before it, if that has a higher sequence.
func (p Promotion) readBack(ctx context.Context, b bucket.Bucket, written []byte, sequence int64, conditions Conditions) error {
	now, is, err := readPointer(ctx, b, p.Trust, p.App, p.Channel)
	switch {
	case err != nil:
		return err
	case is != nil && bytes.Equal(is.data, written):
		return nil
	case now != nil && now.Sequence().Number > sequence && conditions == bucket.Honoured:
		return nil
	}
	return bucket.ErrChanged
}

// readBack reads the document that was just written: all of the signatures must
// be there, and none that was taken out.
func (s Signing) readBack(ctx context.Context, b bucket.Bucket, key string, limit int64, verify func(artifacts.Trust, []byte) error) error {
	is, err := readDocument(ctx, b, key, limit)
	if err != nil {
		return err
	}
	missing, err := s.missing(is.data, verify)
	if err != nil {
		return err
	}
	_, left, err := s.remove(is.data)
	if err == nil && len(missing)+left > 0 {
		err = bucket.ErrChanged
	}
	return err
}
