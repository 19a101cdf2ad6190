package publish

import (
	"errors"
	"fmt"
)

// ErrMoved is the sentinel of every [MovedError].
var ErrMoved = errors.New("another promotion has moved the channel")

// MovedError is a promotion that lost against another one, and where the channel
// points now.
type MovedError struct {
	Channel, Version string
	Sequence         int64
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("%v: %s now points to %s, sequence %d", ErrMoved, e.Channel, e.Version, e.Sequence)
}

// Is makes every such error an [ErrMoved].
func (e *MovedError) Is(target error) bool { return target == ErrMoved }
