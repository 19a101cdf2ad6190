package instance

import (
	"context"
	"fmt"
)

// trail follows the requests made for one question. It travels in the context,
// because the SDK does not keep the cause when a token cannot be had.
type trail struct {
	asked   bool // at least one request was sent
	renewed bool
	last    *failure
}

type trailKey struct{}

// follow returns a context whose requests leave the returned trail.
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

// note keeps the last failure that was not the end of ctx itself: that tells
// nothing about the service.
func (t *trail) note(ctx context.Context, f *failure) {
	if t.last == nil || ctx.Err() == nil {
		t.last = f
	}
}

// renewToken reports whether a refused token may be replaced: once a question.
func (t *trail) renewToken() bool {
	first := !t.renewed
	t.renewed = true
	return first
}

// cause is why a question had no answer: the end of the caller's ctx, if that
// was it, and what the service did. The SDK's words are left out, as they may
// quote an answer.
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
