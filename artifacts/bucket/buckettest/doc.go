// Package buckettest is for tests of what stores releases: a bucket in memory
// that misbehaves on request, and one conformance function that every bucket
// must pass, be it memory, a directory, a mock of S3 or a real server.
//
// It is not for production: [Memory] keeps everything and forgets at exit.
package buckettest

import (
	"context"
	"io"
	"iter"

	"koboshi/artifacts"
)

// Bucket is what the conformance function tries: everything that a bucket of
// koboshi can do. Its users declare the part that they need.
type Bucket interface {
	// Get reads a range of an object, cut short where the object ends. Errors
	// are ErrNotFound, ErrDenied, or ErrChanged where the range is pinned to
	// another ETag. A range that begins behind the end is an error too.
	Get(ctx context.Context, key string, r artifacts.Range) (io.ReadCloser, artifacts.Object, error)

	// Put stores the first size bytes of body, all or nothing. Errors are
	// ErrExists where the key must be absent, ErrChanged where the object is
	// not (or no longer) the one with the ETag, ErrDenied.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, when artifacts.Condition) (artifacts.Object, error)

	// List yields every object whose key begins with prefix, in byte order.
	List(ctx context.Context, prefix string) iter.Seq2[artifacts.Object, error]
}
