package publish

import (
	"errors"
	"fmt"
)

// ErrMoved is the sentinel of every [MovedError].
var ErrMoved = errors.New("someone else has moved the channel")

// MovedError tells who was faster: what the channel names now.
type MovedError struct {
	Channel, Version string
	Sequence         int64
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("%v: %s now names %s, sequence %d", ErrMoved, e.Channel, e.Version, e.Sequence)
}

// Is makes every such error an [ErrMoved].
func (e *MovedError) Is(target error) bool { return target == ErrMoved }
