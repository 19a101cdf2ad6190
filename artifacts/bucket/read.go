package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge is returned by [Read] for an object above the limit.
var ErrTooLarge = errors.New("the object is too large")

// Read reads a small object as a whole: at most limit bytes. Errors are those of
// Get, [ErrTooLarge], and that of a body that broke off.
func Read(ctx context.Context, b Reader, key string, limit int64) ([]byte, Object, error) {
	body, object, err := b.Get(ctx, key, Range{})
	if err != nil {
		return nil, Object{}, err
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(len(data)) > limit {
		return nil, Object{}, fmt.Errorf("%s: %w: more than %d bytes", key, ErrTooLarge, limit)
	}
	return data, object, nil
}
