// Package pace is how koboshi waits: the one sleep, the one backoff, the one jitter,
// and how often a wait says what it waits for.
//
// Jitter is hashed from a seed, which on an instance is its id. So instances
// that start or fail together do not call together, and the pauses of one
// instance can be computed in advance, by a test or by an operator.
package pace

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
)

// Sleep waits for d. When ctx ends first, or has ended, it returns the cause of that.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Share is a number in [0, 1) that follows from seed and n: the same at every
// call, and evenly distributed over seeds and over n.
func Share(seed string, n int) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", seed, n))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// Jitter yields the shares of one seed, one after the other. Many goroutines
// may use it at once. Its zero value has the empty seed.
type Jitter struct {
	Seed string
	n    atomic.Int64
}

// Next is the next share, in [0, 1).
func (j *Jitter) Next() float64 { return Share(j.Seed, int(j.n.Add(1))) }

// Scatter is d less up to half of it: d where share is 1, half of it where
// share is 0.
func Scatter(d time.Duration, share float64) time.Duration {
	return d - time.Duration((1-share)*float64(d/2))
}

// Backoff is a pause that grows with each attempt that has failed.
type Backoff struct {
	First  time.Duration // after the first attempt
	Most   time.Duration // the pauses grow up to this one
	Factor int           // of each pause to the one before; 0 = 2
}

// Pause is the time to wait after the nth failed attempt, counted from 1: the
// share scatters it over its upper half, as [Scatter] does.
func (b Backoff) Pause(n int, share float64) time.Duration {
	pause, factor := b.First, time.Duration(max(b.Factor, 2))
	for i := 1; i < n && 0 < pause && pause < b.Most; i++ {
		pause = min(pause, b.Most/factor) * factor
	}
	return Scatter(min(pause, b.Most), share)
}
