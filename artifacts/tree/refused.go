package tree

import (
	"errors"
	"fmt"
)

// ErrRefused is the sentinel of every archive, compressed stream or index that is
// not allowed, or broken.
var ErrRefused = errors.New("archive refused")

// RefusedError is what is not allowed, and where.
type RefusedError struct {
	Entry  string // path as the archive gives it; empty when it is not about one entry
	Reason string
	Remedy string // what can be done about it; "" = what every such error calls for
}

// Advice is the remedy.
func (e *RefusedError) Advice() string { return e.Remedy }

func (e *RefusedError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("%v: %s", ErrRefused, e.Reason)
	}
	return fmt.Sprintf("%v: %q: %s", ErrRefused, e.Entry, e.Reason)
}

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Refuse is a [*RefusedError]. The entry is clipped.
func Refuse(entry, format string, args ...any) error {
	return &RefusedError{Entry: Clip(entry), Reason: fmt.Sprintf(format, args...)}
}

// Clip keeps a hostile name from filling the log.
func Clip(name string) string {
	const most = 256
	if len(name) <= most {
		return name
	}
	return name[:most] + "…"
}
