// Package bucket is the one interface to the places where releases are stored,
// with its errors. Packages s3 and dir implement [Bucket], package https
// implements [Reader], and package buckettest checks all of them against the
// contract that is written here.
//
// The contract is strong enough for compare-and-swap: of any number of writers
// that replace the object with one ETag, on any machines, at most one has its
// object stored, and no write that was reported as successful is lost. A channel
// is moved by it, and a lease can be held by it. An ETag stands for bytes, not
// for a write (in S3 it is their hash): an object that returns to earlier bytes
// has the earlier ETag again. So bytes that are swapped never repeat: they
// contain a number that grows, or the name of their writer and the time.
//
// Nothing here vouches for bytes: a reader compares them with a signed hash.
package bucket

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Reader is the read-only half of a [Bucket]. Keys are relative to the prefix
// at which it was opened, usually that of one app. Many goroutines may use it
// at once.
//
// Each method repeats its own requests for as long as that makes sense (lost
// connections, throttling, 5xx), so a caller adds no retries of its own. The
// exception is a body that breaks off: its Read fails, and the caller decides
// whether to ask for the rest.
type Reader interface {
	// Get opens a range of an object and returns as soon as the head of the
	// answer is there. The Object has the size of the whole object and its
	// ETag; the ETag is empty where the store has none that stands for equal
	// bytes.
	//
	// The body yields exactly the range, cut short where the object ends, or an
	// error: never other bytes, also where the object is replaced meanwhile, as
	// far as the store has ETags. ctx governs the body too: when it ends, a
	// waiting Read returns. The body must be closed.
	//
	// Errors are ErrNotFound; ErrDenied; ErrCredentials; ErrChanged where r.ETag
	// is not the object's; ErrUnchanged where r.Unless is. A range that begins at or behind the end of the
	// object, other than the zero Range, is an error that is none of them, and
	// so is everything that no repetition has cured.
	Get(ctx context.Context, key string, r Range) (io.ReadCloser, Object, error)
}

// Bucket is a place that can be written and listed, too.
type Bucket interface {
	Reader

	// Put stores the first size bytes of body, all or nothing, if the condition
	// is met at that moment. The Object has key, size and the new ETag; its time
	// may be zero. body may be read several times, and by several goroutines.
	// A Get or a List that begins after Put has returned, on whatever machine,
	// has this object or a newer one.
	//
	// Errors, none of which has stored anything except as described below:
	//
	//   - ErrExists: when.Absent, and there is an object.
	//   - ErrChanged: when.ETag is not the object's, or there is no object.
	//   - ErrDenied; ErrCredentials; ErrNotFound, where the bucket itself is missing.
	//
	// Where the store answers that another write of the key is in progress
	// (409 of S3), Put begins again under the same condition, with growing
	// pauses and within the retry budget of the bucket. So a conflict ends as
	// success, as ErrExists or ErrChanged, or, with the budget spent, as
	// ErrConflict. With when.Once it ends as ErrConflict at the first such answer:
	// for a caller to whom the same bytes may be wrong by then, and who therefore
	// reads the key before the next write. ErrConflict leaves open what is stored.
	//
	// An answer may get lost. Then the repeated request finds its own object,
	// and ErrExists or ErrChanged is returned for a write that took effect; any
	// error outside this list leaves open whether it did. A caller to whom that
	// matters reads the key again and compares the bytes, which should therefore
	// name their writer.
	Put(ctx context.Context, key string, body io.ReaderAt, size int64, when Condition) (Object, error)

	// Delete removes an object; that there is none is a success. Errors are
	// ErrDenied and ErrCredentials, and ErrNotFound where the bucket is missing.
	Delete(ctx context.Context, key string) error

	// List yields every object whose key begins with prefix, in byte order. One
	// that is written meanwhile may be missing. After an error it ends.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
}

// Object describes one stored object.
type Object struct {
	Key      string // relative to the prefix of the bucket
	Size     int64  // bytes of the whole object, also where a range was read
	ETag     string // opaque; equal means the same bytes
	Modified time.Time

	// Date is the store's clock when it answered, to the second; of a list, when
	// it answered with the page that has this object. Zero = not known: the
	// store has no clock of its own, or the answer came from a cache.
	Date time.Time
}

// Condition makes a write depend on what is stored. The zero Condition does
// not. At most one of Absent and ETag is set.
type Condition struct {
	Absent bool   // only where no object has the key
	ETag   string // only over the object with this ETag
	Once   bool   // where another write is in progress, the error is ErrConflict at once
}

// The errors that a caller decides by. Every other error means that the store
// could not be reached, or did not do what it was asked.
var (
	ErrNotFound    = errors.New("no such object")
	ErrDenied      = errors.New("access denied")                // S3 says so of a missing object, too, without the right to list
	ErrCredentials = errors.New("the credentials were refused") // expired, unknown or wrong, whatever was asked for
	ErrChanged     = errors.New("the object has changed")
	ErrExists      = errors.New("the object exists")
	ErrConflict    = errors.New("another write of the object is in progress")
	ErrUnchanged   = errors.New("the object is unchanged") // it still has the ETag that was given
)
