package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"koboshi/artifacts"
)

// object is one object of a source, as all requests of one read must find it:
// the first answer pins its ETag and size.
type object struct {
	src      Source
	key      string
	check    func(size int64) error // judges the first answer, before a byte is read
	attempts func()                 // told of every request
	spare    atomic.Int64           // requests that may still be made again

	mu     sync.Mutex
	pinned bool
	pin    artifacts.Object
}

func newObject(src Source, key string, spare int64, check func(size int64) error) *object {
	o := &object{src: src, key: key, check: check, attempts: func() {}}
	o.spare.Store(spare)
	return o
}

// get opens length bytes from offset, or all from there if length is 0.
func (o *object) get(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	o.attempts()
	body, got, err := o.src.Get(ctx, o.key, artifacts.Range{Offset: offset, Length: length, ETag: o.seen().ETag})
	if err != nil {
		return nil, o.final(ctx, err)
	}
	if err := o.admit(got); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return body, nil
}

func (o *object) seen() artifacts.Object {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pin
}

// admit holds an answer against the first one. A source that honours the ETag
// of a range has done so before; one that cannot is caught here.
func (o *object) admit(got artifacts.Object) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.pinned {
		got.Size = max(0, got.Size)
		o.pinned, o.pin = true, got
		return o.check(got.Size)
	}
	if got.ETag != o.pin.ETag || got.Size != o.pin.Size {
		return o.changed()
	}
	return nil
}

// final words the error of a source that has given up.
func (o *object) final(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, artifacts.ErrChanged):
		return o.changed()
	}
	return fmt.Errorf("%s: %w: %w", o.key, ErrTransport, err)
}

// changed is an integrity error: a published object never changes, and what
// was read of the old one cannot be completed.
func (o *object) changed() error {
	return fmt.Errorf("%s: %w: %w while it was read", o.key, artifacts.ErrIntegrity, artifacts.ErrChanged)
}
