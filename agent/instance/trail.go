package instance

import (
	"context"
	"fmt"
)

// trail records the requests that are made for one read. It is in the context,
// because the SDK loses the cause when there is no token.
type trail struct {
	asked   bool // at least one request was sent
	renewed bool
	last    *failure
}

type trailKey struct{}

// follow returns a context, and the trail that records its requests.
func follow(ctx context.Context) (context.Context, *trail) {
	t := new(trail)
	return context.WithValue(ctx, trailKey{}, t), t
}

func trailOf(ctx context.Context) *trail {
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		return t
	}
	return new(trail)
}

// note keeps the last failure, but not the end of ctx itself: that is no failure
// of the service.
func (t *trail) note(ctx context.Context, f *failure) {
	if t.last == nil || ctx.Err() == nil {
		t.last = f
	}
}

// renewToken reports whether a refused token may be replaced: once per read.
func (t *trail) renewToken() bool {
	first := !t.renewed
	t.renewed = true
	return first
}

// cause is why a read failed: the end of the caller's ctx, if that was the
// reason, and the service's failure. The SDK's text is left out, as it may quote
// an answer.
func (t *trail) cause(ctx context.Context) error {
	err := ctx.Err()
	switch {
	case err == nil:
		return t.kind()
	case t.last == nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	default:
		return fmt.Errorf("%w: %w", t.last, err)
	}
}

func (t *trail) kind() error {
	switch {
	case t.last != nil:
		return t.last
	case t.asked:
		return fmt.Errorf("%w: the answer could not be read", ErrMalformed)
	default:
		return fmt.Errorf("%w: by AWS_EC2_METADATA_DISABLED, or by an endpoint that is no URL", ErrDisabled)
	}
}
