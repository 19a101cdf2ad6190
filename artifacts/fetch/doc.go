// Package fetch goes from a reference to verified bytes: a channel's pointer,
// the manifest that it names, and the artifact of one platform.
//
// A [bucket.Reader] is its only view of the outside world. A source answers or gives
// up; what it gives up on is never asked again here, so that there is one
// retry layer for a request. What this package does ask again is the rest of a
// body that broke off or stalled: the missing bytes only, pinned to the object
// that was being read, after a jittered pause, within a budget.
//
// Whether bytes are believed is decided by what was signed and by nothing
// else: ETags, a store's own checksums and HTTP lengths only keep a read
// together. A [Download] hands out chunks once their hash holds. For an
// artifact that was published without chunks that is not possible: see
// [Download.Next].
//
// Errors sort themselves for the caller: [*ResolveError] for a document that
// could not be read, artifacts.ErrUntrusted and artifacts.ErrTooOld for one
// that was read but not accepted, [ErrTransport] for bytes that did not come,
// artifacts.ErrIntegrity for bytes that are not the signed ones. When the
// context ends, its cause is returned as it is.
//
// The package never writes to a disk or to a bucket, and never logs.
package fetch
