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

// object is one object of a source, or of several that have the same bytes, as
// all requests of one read must find it: of each source the first answer pins
// ETag and size.
type object struct {
	key      string
	check    func(size int64) error // judges a first answer, before a byte is read
	attempts func()                 // called before every request
	throttle *throttle              // of all requests together
	jitter   *pace.Jitter           // of the pauses before requests that are made again

	mu     sync.Mutex
	copies []*copied // that of the source in use first; never empty
	asked  int       // the source that was asked first
	errs   map[int]error
}

// copied is the object as one source has it. What changes of it belongs to the
// object's lock.
type copied struct {
	try
	patience int // fruitless requests in a row after which it is left
	pinned   bool
	pin      bucket.Object
	spare    int64 // requests that may still be made again
}

// newObject may repeat budget requests at each try.
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

func (o *object) inUse() (c *copied, etag string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c = o.copies[0]
	return c, c.pin.ETag
}

// size is that of the first answer.
func (o *object) size(c *copied) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.pin.Size
}

// leave tries from a copy, whose error is given, to the next one. Where there
// is none it returns the error of the source that was asked first. Patience is
// for a source that was hurried, and would not change another answer.
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

// spend takes one of the requests that may be made again to a copy.
func (o *object) spend(c *copied) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.spare--
	return c.spare >= 0
}

// admit holds an answer against the first one of the same source. A source that
// honours the ETag of a range has done so before; one that cannot is caught
// here, unless it names none: then the signed hash decides.
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
