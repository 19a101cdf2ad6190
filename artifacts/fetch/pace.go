package fetch

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// perConnection is what a paced download asks of one connection, in bytes per
// second: fewer connections that move are better than many that crawl, which a
// server may take for dead.
const perConnection = 8 << 20

// How much may come at once, in bytes, before the pace is looked at again.
const (
	minBurst = 16 << 10
	maxBurst = 256 << 10
)

// pace holds all the connections of a download together to a number of bytes
// per second. The nil pace holds up nobody.
type pace struct{ limiter *rate.Limiter }

func newPace(bytesPerSecond int64) *pace {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := min(max(bytesPerSecond/32, minBurst), maxBurst)
	return &pace{rate.NewLimiter(rate.Limit(bytesPerSecond), int(burst))}
}

// portion is the part of buf that may be read before wait.
func (p *pace) portion(buf []byte) []byte {
	if p == nil {
		return buf
	}
	return buf[:min(len(buf), p.limiter.Burst())]
}

// wait pauses for as long as n bytes that were read take at this pace.
func (p *pace) wait(ctx context.Context, n int) error {
	if p == nil || n == 0 {
		return nil
	}
	delay := p.limiter.ReserveN(time.Now(), n).Delay()
	if delay == 0 {
		return nil
	}
	return sleep(ctx, delay)
}
