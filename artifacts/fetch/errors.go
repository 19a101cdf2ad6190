package fetch

import (
	"context"
	"errors"
	"fmt"

	"koboshi/artifacts/bucket"
)

// ErrTransport is returned where a document or an artifact could not be read:
// the source failed, or bodies kept breaking off until the budget was spent.
// Where a source has answered, the error is bucket.ErrNotFound,
// bucket.ErrDenied or bucket.ErrCredentials instead.
var ErrTransport = errors.New("could not be fetched")

// sorted returns an answer of the source unchanged, since it has the key of the
// object, and anything else as ErrTransport.
func sorted(ctx context.Context, key string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case answered(err):
		return err
	}
	return fmt.Errorf("%s: %w: %w", key, ErrTransport, err)
}

func answered(err error) bool {
	return errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrDenied) || errors.Is(err, bucket.ErrCredentials) || errors.Is(err, bucket.ErrUnchanged)
}
