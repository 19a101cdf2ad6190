package fetch

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

// object is one object that is being read, from one source or from several that
// have the same bytes. The first answer of each source pins ETag and size for
// all later requests to it.
type object struct {
	key      string
	check    func(size int64) error // judges a first answer, before a byte is read
	unless   string                 // an ETag: nothing is read while the object has it; "" = none
	attempts func()                 // called before every request
	throttle *throttle              // of all requests together
	jitter   *pace.Jitter           // of the pauses before requests that are made again

	mu     sync.Mutex
	copies []*copied // that of the source in use first; never empty
	asked  int       // the source that was asked first
	errs   map[int]error
}

// copied is the object as one source has it. Its variable fields are guarded by
// the object's lock.
type copied struct {
	try
	patience int // fruitless requests in a row after which it is left
	pinned   bool
	pin      bucket.Object
	spare    int64 // requests that may still be made again
}

// newObject allows budget requests to be repeated at each try.
func newObject(tries []try, key string, budget int64, check func(size int64) error, jitter *pace.Jitter) *object {
	o := &object{key: key, check: check, attempts: func() {}, jitter: jitter}
	for _, t := range tries {
		c := &copied{try: t, patience: maxFruitless, spare: budget}
		if t.hurried {
			c.patience = hurriedFruitless
		}
		o.copies = append(o.copies, c)
	}
	return o
}

// inUse is the copy that is read, and the range's conditions on it: that it has not
// changed since the first answer, or before that since it was known.
func (o *object) inUse() (c *copied, etag, unless string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c = o.copies[0]
	if !c.pinned {
		unless = o.unless
	}
	return c, c.pin.ETag, unless
}

// etag is that of the first answer.
func (o *object) etag(c *copied) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.pin.ETag
}

// size is that of the first answer.
func (o *object) size(c *copied) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.pin.Size
}

// leave turns from a copy that failed with err to the next one. Where there is
// none it returns the error of the source that was asked first. Only a source
// that was hurried is tried again with patience: other answers would not change.
func (o *object) leave(c *copied, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.copies[0] != c {
		return nil // another worker has left it
	}
	if o.errs == nil {
		o.errs, o.asked = map[int]error{}, c.source
	}
	o.errs[c.source] = err
	rest := slices.DeleteFunc(slices.Clone(o.copies[1:]), func(next *copied) bool {
		return next.source == c.source && !errors.Is(err, errHurried)
	})
	if len(rest) == 0 {
		return o.errs[o.asked]
	}
	o.copies = rest
	return nil
}

// spend takes one request from the retry budget of a copy.
func (o *object) spend(c *copied) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.spare--
	return c.spare >= 0
}

// admit compares an answer with the first one of the same source. A source that
// honours If-Match has refused a changed object already; one that does not is
// caught here, unless it sends no ETag: then the signed hash decides.
func (o *object) admit(c *copied, got bucket.Object) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.pinned {
		got.Size = max(0, got.Size)
		c.pinned, c.pin = true, got
		return o.check(got.Size)
	}
	if got.ETag != "" && c.pin.ETag != "" && got.ETag != c.pin.ETag || got.Size != c.pin.Size {
		return o.changed()
	}
	return nil
}

// changed is an integrity error: a published object never changes, and what
// was read of the old one cannot be completed.
func (o *object) changed() error {
	return fmt.Errorf("%s: %w: %w while it was read", o.key, artifacts.ErrIntegrity, bucket.ErrChanged)
}
