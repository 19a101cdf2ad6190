package artifacts

import (
	"errors"
	"time"
)

// Object is what a store tells about one of its objects.
type Object struct {
	Key      string // relative to the store's prefix
	Size     int64  // bytes of the whole object, also where a range was read
	ETag     string // opaque; equal means the same bytes
	Modified time.Time
}

// Range asks for a part of an object. The zero Range is the whole of it.
type Range struct {
	Offset int64
	Length int64  // 0 = to the end
	ETag   string // "" = whatever is there; else the answer must carry it or be ErrChanged
}

// Condition makes a write depend on what is there. The zero Condition does not.
type Condition struct {
	Absent bool   // only where no object has the key
	ETag   string // only over the object with this ETag
}

// What every store answers in the same words, so that a caller can decide.
var (
	ErrNotFound = errors.New("no such object")
	ErrDenied   = errors.New("access denied") // S3 without ListBucket says so of a missing object too
	ErrChanged  = errors.New("the object has changed")
	ErrExists   = errors.New("the object exists")
)
