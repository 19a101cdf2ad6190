package fetch

import (
	"context"
	"errors"
	"io"

	"koboshi/artifacts"
)

// Source is where an app's documents and artifacts lie. Keys are relative to
// the app's prefix. A Source is used by many goroutines at once.
type Source interface {
	// Get opens a range of an object and returns as soon as the answer's head
	// is there. The Object tells the size of the whole object and its ETag,
	// which is empty where the store has none that stands for equal bytes.
	//
	// The body brings exactly the range, cut short where the object ends. ctx
	// governs the body too: when it ends, a Read that waits returns.
	//
	// Errors are artifacts.ErrNotFound, ErrDenied, and ErrChanged where
	// r.ETag is not the object's. Any other error is one that was worth no
	// further try: a Source repeats a request by itself as long as that makes
	// sense, but never a body.
	Get(ctx context.Context, key string, r artifacts.Range) (io.ReadCloser, artifacts.Object, error)
}

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

// Unwrap is the cause, such as artifacts.ErrNotFound.
func (e *ResolveError) Unwrap() error { return e.Err }
