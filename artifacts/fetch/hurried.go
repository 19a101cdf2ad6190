package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"koboshi/artifacts/bucket"
)

// hurry is how long a source that is not the last one has to begin an answer,
// including all retries. It is as long as connecting may take: a region that is
// down is left after one attempt, one that answers SlowDown after several.
const hurry = 5 * time.Second

// hurriedFruitless is maxFruitless for such a source.
const hurriedFruitless = 2

// errHurried is returned where a source was left before it had all its time.
var errHurried = errors.New("it was not waited for any longer")

// hurried is a source while there is another one to try: it is left when an
// answer has not begun after five seconds. A body that moves is not limited.
type hurried struct{ src bucket.Reader }

// Get implements [bucket.Reader].
func (h hurried) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(hurry, func() { cancel(errHurried) })
	body, object, err := h.src.Get(ctx, key, r)
	inTime := timer.Stop()
	if err == nil && inTime {
		return released{body, cancel}, object, nil
	}
	if err == nil {
		err = body.Close()
	}
	if !inTime && errors.Is(context.Cause(ctx), errHurried) {
		err = fmt.Errorf("no answer within %s: %w", hurry, errHurried)
	}
	cancel(nil)
	return nil, bucket.Object{}, err
}

// released is a body that ends its context with itself.
type released struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b released) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}
