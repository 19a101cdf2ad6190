package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

// How often a broken read is continued. A body that delivers progressBytes
// before it breaks resets the count of fruitless requests.
const (
	maxFruitless  = 8
	minSpare      = 32 // requests beyond the first of each part, at least
	progressBytes = 64 << 10
)

// again is the pause before a request that is made again.
var again = pace.Backoff{First: 100 * time.Millisecond, Most: 5 * time.Second}

// cursor reads one range of an object in order. A body that breaks off or
// stalls is asked for again, from the first byte that is missing.
type cursor struct {
	o         *object
	at        int64
	end       int64 // 0 = the object's end
	body      *watched
	from      *copied // the body, and the one before it
	brought   int64   // bytes of the current body
	fruitless int     // requests in a row that delivered next to nothing
}

// open requests what is missing, unless a body is open. Where a source fails,
// the next one is tried.
func (c *cursor) open(ctx context.Context) error {
	for c.body == nil {
		from, etag, unless := c.o.inUse()
		c.o.attempts()
		reading, cancel := context.WithCancelCause(ctx)
		r := bucket.Range{Offset: c.at, Length: max(0, c.end-c.at), ETag: etag, Unless: unless}
		body, got, err := from.reader.Get(reading, c.o.key, r)
		if err == nil {
			c.from, c.body, c.brought = from, watch(reading, cancel, body), 0
			if err = c.o.admit(from, got); err != nil {
				c.close()
			}
			return err
		}
		cancel(nil)
		if ctx.Err() == nil && errors.Is(err, bucket.ErrChanged) {
			return c.o.changed()
		}
		if err = sorted(ctx, c.o.key, err); ctx.Err() != nil {
			return err
		}
		if err = c.o.leave(from, err); err != nil {
			return err
		}
	}
	return nil
}

// read fills buf with the next bytes of the range.
func (c *cursor) read(ctx context.Context, buf []byte) error {
	for len(buf) > 0 {
		if err := c.open(ctx); err != nil {
			return err
		}
		n, err := c.body.Read(c.o.throttle.portion(buf))
		buf, c.at, c.brought = buf[n:], c.at+int64(n), c.brought+int64(n)
		if err := c.o.throttle.wait(ctx, n); err != nil {
			return err
		}
		if err != nil && len(buf) > 0 {
			if err := c.again(ctx, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// again pauses before the next request, or turns to another source, or ends the
// read with the reason why the last body broke off.
func (c *cursor) again(ctx context.Context, cause error) error {
	c.close()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	if c.fruitless++; c.brought >= progressBytes {
		c.fruitless = 0
	}
	if c.fruitless < c.from.patience && c.o.spend(c.from) {
		return pace.Sleep(ctx, again.Pause(c.fruitless+1, c.o.jitter.Next()))
	}
	err := fmt.Errorf("%s: %w from byte %d on: %w", c.o.key, ErrTransport, c.at, cause)
	if c.from.hurried {
		err = fmt.Errorf("%w: %w", err, errHurried)
	}
	c.fruitless = 0
	return c.o.leave(c.from, err)
}

// finish ends a range that was read. A body with more bytes is an answer to
// another request; reading to the end also lets the connection be used again.
func (c *cursor) finish() error {
	if c.body == nil {
		return nil
	}
	n, _ := c.body.Read(make([]byte, 1))
	c.close()
	if n > 0 {
		return fmt.Errorf("%s: %w: more bytes than were asked for", c.o.key, ErrTransport)
	}
	return nil
}

func (c *cursor) close() {
	if c.body != nil {
		_ = c.body.Close() // its bytes are judged by their hash
		c.body = nil
	}
}
