package publish

import (
	"errors"
	"fmt"

	"koboshi/artifacts"
)

// ErrMoved is the sentinel of every [MovedError].
var ErrMoved = errors.New("another promotion has moved the channel")

// MovedError is a promotion that lost against another one, and where the channel
// points now.
type MovedError struct {
	Channel, Version string
	Next             *artifacts.Next // that is rolled out; nil = none
	Sequence         int64
}

func (e *MovedError) Error() string {
	text := fmt.Sprintf("%v: %s now points to %s", ErrMoved, e.Channel, e.Version)
	if e.Next != nil {
		text += fmt.Sprintf(" and rolls out %s to %d %%", e.Next.Version, e.Next.Percent)
	}
	return fmt.Sprintf("%s, sequence %d", text, e.Sequence)
}

// Is makes every such error an [ErrMoved].
func (e *MovedError) Is(target error) bool { return target == ErrMoved }
