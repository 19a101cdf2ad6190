package agent

import (
	"context"
	"time"

	"koboshi/agent/converge"
)

// awaitTurn waits for this machine's share of the time that its channel's signer
// spreads syncs over. Nothing is locked meanwhile, and the channel is read anew
// afterwards.
func (r *run) awaitTurn(ctx context.Context, wait bool) error {
	limited, cancel := r.agent.limit(ctx)
	defer cancel()
	if err := r.prepare(limited, wait); err != nil {
		return err
	}
	defer r.close()
	if err := r.discover(limited); err != nil {
		return nil //nolint:nilerr // the run itself will find the same, and report it
	}
	r.look(limited)
	turn := r.turn(limited)
	r.close()
	r.Forget()
	r.report.Warnings = nil // the run itself will find the same
	if err := r.pause(ctx, "spread", turn); err != nil {
		return converge.Failed(ctx, err).Err
	}
	return nil
}

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
	if found && r.Up(current) && current.ManifestSHA256() == pointer.Reference().ManifestSHA256 {
		return 0
	}
	turn := r.share(time.Duration(pointer.Pointer().SpreadSeconds) * time.Second)
	if turn > 0 {
		r.Forget()
	}
	return turn
}
