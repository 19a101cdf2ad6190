package retire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"koboshi/artifacts/bucket"
)

// Found is a mark as it is in the bucket; the zero Found is none.
type Found struct {
	Mark
	ETag     string
	Modified time.Time // by the store's clock
	Date     time.Time // of the answer, by the store's clock; zero = not known
}

// Read reads the mark of a version; the zero Found where there is none. Errors are
// those of a bucket's Get, [ErrMark] and artifacts.ErrTooOld.
func Read(ctx context.Context, b bucket.Reader, app, version string) (Found, error) {
	data, object, err := bucket.Read(ctx, b, Key(version), maxBytes)
	if errors.Is(err, bucket.ErrNotFound) {
		return Found{}, nil
	}
	if errors.Is(err, bucket.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrMark, err)
	}
	if err != nil {
		return Found{}, err
	}
	m, err := parse(data, app, version)
	if err != nil {
		return Found{}, fmt.Errorf("%s: %w", Key(version), err)
	}
	return Found{m, object.ETag, object.Modified, object.Date}, nil
}

// Write stores a mark in place of the one that was found. Where that has changed
// meanwhile, the error is bucket.ErrChanged or bucket.ErrExists, and nothing is
// stored. A store without ETags is ErrStore.
func Write(ctx context.Context, b bucket.Bucket, m Mark, was Found) (Found, error) {
	when := bucket.Condition{Absent: true}
	if was.State != "" {
		when = bucket.Condition{ETag: was.ETag}
		if was.ETag == "" {
			return Found{}, fmt.Errorf("%s: %w: it gives no ETag that can be matched", Key(m.Version), ErrStore)
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return Found{}, err
	}
	object, err := b.Put(ctx, Key(m.Version), bytes.NewReader(data), int64(len(data)), when)
	if errors.Is(err, bucket.ErrChanged) || errors.Is(err, bucket.ErrExists) { // perhaps by our own write, whose answer was lost
		if is, read, readErr := bucket.Read(ctx, b, Key(m.Version), maxBytes); readErr == nil && bytes.Equal(is, data) {
			object, err = read, nil
		}
	}
	if err != nil {
		return Found{}, err
	}
	return Found{Mark: m, ETag: object.ETag}, nil
}

// ErrStore is a store that lacks what marks need: conditional writes, ETags, a Date.
var ErrStore = errors.New("the store cannot be pruned safely")
