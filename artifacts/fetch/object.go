package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// object is one object of a source, or of several that have the same bytes, as
// all requests of one read must find it: of each source the first answer pins
// ETag and size.
type object struct {
	key      string
	check    func(size int64) error // judges a first answer, before a byte is read
	attempts func()                 // told of every request
	pace     *pace                  // of all requests together

	mu     sync.Mutex
	copies []*copied // that of the source in use first; never empty
}

// copied is the object as one source has it. What changes of it belongs to the
// object's lock.
type copied struct {
	src      bucket.Reader
	patience int // fruitless requests in a row after which it is left
	pinned   bool
	pin      bucket.Object
	spare    int64 // requests that may still be made again
}

func newCopied(src bucket.Reader, budget int64) *copied {
	c := &copied{src: src, patience: maxFruitless, spare: budget}
	if _, ok := src.(hurried); ok {
		c.patience = hurriedFruitless
	}
	return c
}

// blame says why a copy is left.
func (c *copied) blame(cause error) error {
	if c.patience == hurriedFruitless {
		return fmt.Errorf("%w: %w", cause, ErrHurried)
	}
	return cause
}

// newObject may repeat budget requests to each source.
func newObject(sources []bucket.Reader, key string, budget int64, check func(size int64) error) *object {
	o := &object{key: key, check: check, attempts: func() {}}
	for _, src := range sources {
		o.copies = append(o.copies, newCopied(src, budget))
	}
	return o
}

// get opens length bytes from offset, or all from there if length is 0, and
// tells of which copy. A source that gives up is followed by the next one.
func (o *object) get(ctx context.Context, offset, length int64) (io.ReadCloser, *copied, error) {
	for {
		c, etag := o.inUse()
		o.attempts()
		body, got, err := c.src.Get(ctx, o.key, bucket.Range{Offset: offset, Length: length, ETag: etag})
		if err == nil {
			if err := o.admit(c, got); err != nil {
				return nil, nil, errors.Join(err, body.Close())
			}
			return body, c, nil
		}
		if err = o.final(ctx, err); !errors.Is(err, ErrTransport) || !o.leave(c) {
			return nil, nil, err
		}
	}
}

func (o *object) inUse() (c *copied, etag string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c = o.copies[0]
	return c, c.pin.ETag
}

// size is what the first answer told.
func (o *object) size(c *copied) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.pin.Size
}

// leave turns from a copy to the next one; false where there is none.
func (o *object) leave(c *copied) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.copies[0] != c {
		return true // somebody else has left it
	}
	if len(o.copies) == 1 {
		return false
	}
	o.copies = o.copies[1:]
	return true
}

// spend takes one of the requests that may be made again to a copy.
func (o *object) spend(c *copied) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.spare--
	return c.spare >= 0
}

// admit holds an answer against the first one of the same source. A source that
// honours the ETag of a range has done so before; one that cannot is caught
// here.
func (o *object) admit(c *copied, got bucket.Object) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.pinned {
		got.Size = max(0, got.Size)
		c.pinned, c.pin = true, got
		return o.check(got.Size)
	}
	if got.ETag != c.pin.ETag || got.Size != c.pin.Size {
		return o.changed()
	}
	return nil
}

// final words the error of a source that has given up.
func (o *object) final(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, bucket.ErrChanged):
		return o.changed()
	}
	return fmt.Errorf("%s: %w: %w", o.key, ErrTransport, err)
}

// changed is an integrity error: a published object never changes, and what
// was read of the old one cannot be completed.
func (o *object) changed() error {
	return fmt.Errorf("%s: %w: %w while it was read", o.key, artifacts.ErrIntegrity, bucket.ErrChanged)
}
