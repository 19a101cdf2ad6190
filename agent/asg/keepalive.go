package asg

import (
	"context"
	"errors"
	"time"
)

// KeepAlive keeps the hook waiting until ctx ends. After the time given (a
// boot that is over by then costs no call) it looks up the hook's timeout,
// sends a heartbeat, and goes on at a little less than half the timeout. A
// heartbeat that failed is sent again well before the hook runs out. report is
// told the number of heartbeats so far, and what went wrong, after each call
// that mattered.
//
// It returns early where there is nothing to keep: no such hook, a foreign one,
// two refusals in a row, or AWS's limit for a wait, the lesser of 48 h and 100
// timeouts. Stop it, and wait for it, before completing the hook.
func (c *Client) KeepAlive(ctx context.Context, hook Hook, after time.Duration, report func(n int, err error)) {
	if err := hook.check(); err != nil {
		report(0, err)
		return
	}
	pulse := pulse{client: c, hook: hook, begun: time.Now()}
	for wait := after; sleep(ctx, wait) == nil; wait = pulse.next() {
		err := pulse.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		report(pulse.sent, err)
		if pulse.over(err) {
			return
		}
	}
}

// pulse is the state of one KeepAlive.
type pulse struct {
	client  *Client
	hook    Hook
	begun   time.Time
	timeout time.Duration // 0 until it is known
	sent    int           // heartbeats that were taken
	tries   int
	missed  int  // refusals in a row
	failed  bool // the last try, other than by a refusal
}

// beat sends one heartbeat. It asks for the timeout first where that is not
// known, and does without where it cannot be had.
func (p *pulse) beat(ctx context.Context) error {
	var unknown error
	if p.timeout == 0 {
		p.timeout, unknown = p.client.HeartbeatTimeout(ctx, p.hook.Group, p.hook.Name)
	}
	if errors.Is(unknown, ErrNoHook) {
		return unknown
	}
	p.tries++
	err := p.client.Heartbeat(ctx, p.hook)
	p.failed = err != nil && !errors.Is(err, ErrNoAction)
	switch {
	case err == nil:
		p.sent++
		p.missed = 0
	case errors.Is(err, ErrNoAction):
		p.missed++
	}
	return errors.Join(unknown, err)
}

// over reports whether further heartbeats are of no use.
func (p *pulse) over(err error) bool {
	limit := maxWait
	if p.timeout > 0 {
		limit = min(maxWait, maxBeats*p.timeout)
	}
	return errors.Is(err, ErrNoHook) || p.missed >= maxMissed || time.Since(p.begun) >= limit
}

// window is the hook's timeout, or the least there is while that is not known.
func (p *pulse) window() time.Duration { return max(p.timeout, minTimeout) }

// next is the time to the next try: 40 to 50 % of the timeout, or 8 to 10 %
// after a failure, so that several more fit into what is left.
func (p *pulse) next() time.Duration {
	share := p.window() / 2
	if p.failed {
		share = p.window() / 10
	}
	return share - time.Duration(spread(p.hook.Instance, p.tries)*float64(share/5))
}
