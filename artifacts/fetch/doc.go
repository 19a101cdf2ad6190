// Package fetch goes from a reference to verified bytes: a channel's pointer,
// the manifest that it points to, and the artifact of one platform. An [Origin]
// is where one app's come from, be it one source or several.
//
// A [bucket.Reader] is its only view of the outside world. A source repeats its
// own requests; one that has failed for good is not asked again here, so that
// there is one retry layer for a request. What this package does ask for again
// is the rest of a body that broke off or stalled: the missing bytes only, pinned
// to the object that was being read, after a jittered pause, within a budget.
// And where there are several sources, it turns from one to the next.
//
// Whether bytes are used is decided by what was signed and by nothing else:
// ETags, a store's own checksums and HTTP lengths only keep a read together. A
// [Download] yields chunks once their hash holds. For an artifact that was
// published without chunks that is not possible: see [Download.Next].
//
// The class of an error is the same for documents and artifacts, and an error
// has one: bucket.ErrNotFound, ErrDenied or ErrCredentials where a source has said so,
// [ErrTransport] where bytes did not arrive, artifacts.ErrUntrusted or
// artifacts.ErrTooOld for a document that was read but not verified,
// artifacts.ErrIntegrity for bytes that are not the signed ones. When the context
// ends, its cause is returned as it is.
//
// The package never writes to a disk or to a bucket, and never logs.
package fetch
