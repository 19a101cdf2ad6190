package fetch

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"koboshi/artifacts/pace"
)

// perConnection is the share of one connection in a limited download, in bytes
// per second: few fast connections are better than many slow ones, which a
// server may close as dead.
const perConnection = 8 << 20

// How much may be read at once, in bytes, before the rate is checked again.
const (
	minBurst = 16 << 10
	maxBurst = 256 << 10
)

// throttle limits all connections of a download together to a number of bytes
// per second. The nil throttle has no limit.
type throttle struct{ limiter *rate.Limiter }

func newThrottle(bytesPerSecond int64) *throttle {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := min(max(bytesPerSecond/32, minBurst), maxBurst)
	return &throttle{rate.NewLimiter(rate.Limit(bytesPerSecond), int(burst))}
}

// portion is the part of buf that may be read before wait.
func (t *throttle) portion(buf []byte) []byte {
	if t == nil {
		return buf
	}
	return buf[:min(len(buf), t.limiter.Burst())]
}

// wait pauses for as long as n bytes that were read take at this pace.
func (t *throttle) wait(ctx context.Context, n int) error {
	if t == nil || n == 0 {
		return nil
	}
	delay := t.limiter.ReserveN(time.Now(), n).Delay()
	if delay == 0 {
		return nil
	}
	return pace.Sleep(ctx, delay)
}
