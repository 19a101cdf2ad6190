package fetch

import "errors"

// ErrTransport tells that bytes of an artifact were not to be had: the source
// gave up, or bodies kept breaking off until the budget was spent.
var ErrTransport = errors.New("could not be fetched")

// ResolveError tells that a document could not be read. It says nothing about
// what the document is worth.
type ResolveError struct {
	Key string // relative to the app's prefix
	Err error
}

// Error is the cause's, which names the key.
func (e *ResolveError) Error() string { return e.Err.Error() }

// Unwrap is the cause, such as bucket.ErrNotFound.
func (e *ResolveError) Unwrap() error { return e.Err }
