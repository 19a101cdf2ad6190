package faults

import "time"

// TokenBucket is how AWS throttles: it is full at its first use, with Burst
// tokens, and gets PerSecond more each second, up to Burst and at least one.
type TokenBucket struct {
	Burst     int
	PerSecond float64

	left   float64
	filled time.Time // when left was counted
}

// Take takes a token out of the bucket, if there is one.
func (b *TokenBucket) Take(now time.Time) bool {
	if b.filled.IsZero() {
		b.left = float64(b.Burst)
	} else {
		added := b.PerSecond * max(0, now.Sub(b.filled).Seconds())
		b.left = min(max(float64(b.Burst), 1), b.left+added)
	}
	b.filled = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
