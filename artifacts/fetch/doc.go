// Package fetch goes from a reference to verified bytes: a channel's pointer,
// the manifest that it points to, and the artifact of one platform. An [Origin]
// is the sources of one app, one or several.
//
// A [bucket.Reader] is its only view of the outside world. A source repeats its
// own requests; one that has failed for good is not asked again here, so that
// there is one retry layer for a request. What this package does ask for again
// is the rest of a body that broke off or stalled: the missing bytes only, pinned
// to the object that was being read, after a jittered pause, within a budget.
// Where there are several sources, it also fails over from one to the next.
//
// Only what was signed decides whether bytes are used: ETags, a store's own
// checksums and HTTP lengths only make sure that the parts of a read belong to
// one object. A [Download] yields a chunk once its hash is verified. For an
// artifact without chunks that is not possible: see [Download.Next].
//
// Each error has one class, the same for documents and artifacts:
// bucket.ErrNotFound, ErrDenied or ErrCredentials where a source answered so,
// [ErrTransport] where bytes did not arrive, artifacts.ErrUntrusted or
// artifacts.ErrTooOld for a document that was read but not verified,
// artifacts.ErrIntegrity for bytes that are not the signed ones. When the context
// ends, its cause is returned as it is.
//
// The package never writes to a disk or to a bucket, and never logs.
package fetch
