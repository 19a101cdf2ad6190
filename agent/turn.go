package agent

import (
	"context"
	"time"
)

// turn is how long this machine waits before it follows its channel. It does not
// wait where there is nothing to follow: the channel cannot be read, it points to
// the release that runs, or the machine is held. What was read then counts.
func (r *run) turn(ctx context.Context) time.Duration {
	if _, held := r.held(); held {
		return 0
	}
	pointer, err := r.Peek(ctx)
	if err != nil {
		return 0
	}
	current, found := r.Current()
	if found && r.Up(current) && current.ManifestSHA256() == pointer.Choose(r.Instance.ID).ManifestSHA256 {
		return 0
	}
	turn := r.share(time.Duration(pointer.Pointer().SpreadSeconds) * time.Second)
	if turn > 0 {
		r.Forget()
	}
	return turn
}
