package instance

import (
	"errors"
	"fmt"
)

// The kinds of failures of instance metadata, for callers that print a hint.
// Every error of a [Metadata] wraps one of these.
var (
	// ErrUnreachable is metadata that gave no usable answer in time: refused,
	// unroutable, silent, overloaded or throttled.
	ErrUnreachable = errors.New("instance metadata cannot be reached")
	// ErrDisabled is metadata that is switched off: for the instance (403) or
	// by this process's environment.
	ErrDisabled = errors.New("instance metadata is disabled")
	// ErrHopLimit is a token that was asked for over an open connection and
	// never came: its packets may not travel as far as a container.
	ErrHopLimit = errors.New("instance metadata gave no token over an open connection")
	// ErrMalformed is an answer that instance metadata would not give.
	ErrMalformed = errors.New("instance metadata answered what was not expected")
	// ErrTagsOff is an instance whose tags are not in its metadata.
	ErrTagsOff = errors.New("instance tags are not in its metadata")
	// ErrHostileTag is a tag with a value that is too long, not UTF-8 or not printable.
	ErrHostileTag = errors.New("instance tag refused")
	// ErrNoCredentials is an instance whose role has no credentials, or not yet.
	ErrNoCredentials = errors.New("no role credentials in instance metadata")
)

// errNotFound is a 404: an answer to some questions, unexpected for the others.
var errNotFound = fmt.Errorf("%w: not found", ErrMalformed)

// failure is one request without a usable answer. It wraps a sentinel only, never
// the transport's error: the timeout of one try must not look like the caller's.
type failure struct {
	request string // method and path
	kind    error
	detail  string
	again   bool
}

// Error names the request, the kind of failure and its detail.
func (f *failure) Error() string { return fmt.Sprintf("%s: %v: %s", f.request, f.kind, f.detail) }

// Unwrap returns the failure's sentinel.
func (f *failure) Unwrap() error { return f.kind }

// RetryableError reports to the SDK's retryer whether another try may help.
func (f *failure) RetryableError() bool { return f.again }
