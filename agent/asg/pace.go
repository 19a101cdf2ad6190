package asg

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// spread returns a number in [0, 1) for the instance's nth pause. It comes from
// a hash, so instances that start together do not call together, and a pause
// can be told in advance.
func spread(instance string, n int) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", instance, n))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// sleep waits for d, or returns why ctx ended first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
