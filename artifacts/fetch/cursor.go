package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// How long a broken read is taken up again. A body that brings progressBytes
// before it breaks starts the count of fruitless requests anew.
const (
	maxFruitless  = 8
	minSpare      = 32 // requests beyond the first of each part, at least
	progressBytes = 64 << 10
	minPause      = 100 * time.Millisecond
	maxPause      = 5 * time.Second
)

// cursor reads one range of an object in order. A body that breaks off or
// stalls is asked for again, from the first byte that is missing.
type cursor struct {
	o         *object
	at        int64
	end       int64 // 0 = the object's end
	body      *watched
	from      *copied // the body, and the one before it
	brought   int64   // bytes of the body at hand
	fruitless int     // requests in a row that brought next to nothing
}

// open asks for what is missing, unless a body is at hand.
func (c *cursor) open(ctx context.Context) (err error) {
	if c.body == nil {
		c.brought = 0
		c.body, err = watch(ctx, func(ctx context.Context) (io.ReadCloser, error) {
			body, from, err := c.o.get(ctx, c.at, max(0, c.end-c.at))
			c.from = from
			return body, err
		})
	}
	return err
}

// read fills buf with the next bytes of the range.
func (c *cursor) read(ctx context.Context, buf []byte) error {
	for len(buf) > 0 {
		if err := c.open(ctx); err != nil {
			return err
		}
		n, err := c.body.Read(c.o.pace.portion(buf))
		buf, c.at, c.brought = buf[n:], c.at+int64(n), c.brought+int64(n)
		if err := c.o.pace.wait(ctx, n); err != nil {
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
// read with why the last body broke off.
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
		return pause(ctx, c.fruitless)
	}
	if c.o.leave(c.from) {
		c.fruitless = 0
		return nil
	}
	return fmt.Errorf("%s: %w from byte %d on: %w", c.o.key, ErrTransport, c.at, c.from.blame(cause))
}

// finish ends a range that was read. More bytes than it has are an answer to
// another question; reading to the end also lets a connection be used again.
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

// pause waits for a random time that doubles with every fruitless request.
func pause(ctx context.Context, fruitless int) error {
	return sleep(ctx, scatter(min(minPause<<fruitless, maxPause)))
}

// sleep waits for d, or for the context's end.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// scatter takes off up to half, so that many agents do not come in step.
func scatter(wait time.Duration) time.Duration {
	return wait - rand.N(wait/2+1) //nolint:gosec // jitter
}
