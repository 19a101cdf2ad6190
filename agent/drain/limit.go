package drain

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrDeadline is a drain whose time was over before it was.
var ErrDeadline = errors.New("the time for the drain was over")

// limit ends a context at a moment that may come closer, never later.
type limit struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	end   context.CancelCauseFunc
}

// within returns a context that ends with the cause after d.
func within(ctx context.Context, d time.Duration, cause error) (context.Context, *limit) {
	limited, end := context.WithCancelCause(ctx)
	return limited, &limit{at: time.Now().Add(d), timer: time.AfterFunc(d, func() { end(cause) }), end: end}
}

// sooner brings the end closer, to d from now, if it was to come later.
func (l *limit) sooner(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := time.Now().Add(d); at.Before(l.at) {
		l.at = at
		l.timer.Reset(d)
	}
}

// stop ends the limit and its context.
func (l *limit) stop() {
	l.timer.Stop()
	l.end(nil)
}
