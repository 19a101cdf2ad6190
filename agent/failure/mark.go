package failure

import "errors"

// Classes of errors that no package below has a sentinel of its own for.
var (
	ErrUsage         = errors.New("usage")
	ErrConfiguration = errors.New("configuration")
	ErrFound         = errors.New("the check found something")
	ErrAltered       = errors.New("the tree is not what was published")
)

// Why a run ended early: causes of its context.
var (
	ErrDeadline    = errors.New("the deadline has passed")
	ErrInterrupted = errors.New("interrupted")
)

// Mark gives an error a class, such as [ErrUsage] or any sentinel of the table,
// without adding to its text.
func Mark(err, class error) error { return marked{err, class} }

type marked struct {
	error
	class error
}

func (m marked) Unwrap() []error { return []error{m.error, m.class} }

// WithHint gives an error a hint of its own.
func WithHint(err error, hint string) error { return hinted{err, hint} }

type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Advice implements [Adviser].
func (h hinted) Advice() string { return h.hint }

// Adviser is an error that knows better than the table what can be done about
// it; "" leaves it to the table.
type Adviser interface {
	error
	Advice() string
}
