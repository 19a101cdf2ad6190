package lifecycle

import (
	"context"
	"errors"
	"time"

	"koboshi/artifacts/pace"
)

// KeepAlive keeps the hook waiting until ctx ends. After the time given (a
// boot that is over by then costs no call) it looks up the hook's timeout. The
// first heartbeat comes when a third of that has passed since KeepAlive began,
// the others at a little less than half of it. One that failed is sent again
// well before the hook runs out, one that was throttled less and less soon.
// report is told the number of heartbeats so far, and what went wrong, after
// each round.
//
// It returns early where there is nothing to keep: no such hook, a foreign one,
// two refusals in a row, or AWS's limit for a wait, the lesser of 48 h and 100
// timeouts. Stop it, and wait for it, before completing the hook.
func (c *Client) KeepAlive(ctx context.Context, hook Hook, after time.Duration, report func(n int, err error)) {
	if err := hook.check(); err != nil {
		report(0, err)
		return
	}
	pulse := pulse{client: c.attempts(1), hook: hook, begun: time.Now()}
	for wait := after; pace.Sleep(ctx, wait) == nil; wait = pulse.next() {
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

// pulse is the state of one KeepAlive. It is the retry layer of its calls: when
// one is worth repeating depends on the hook's timeout.
type pulse struct {
	client  *Client
	hook    Hook
	begun   time.Time
	timeout time.Duration // 0 until it is known
	sent    int           // heartbeats that were taken
	tries   int
	missed  int   // refusals in a row
	held    int   // throttled rounds in a row
	failed  error // the last round, other than by a refusal
}

// beat is one round. It asks for the timeout first where that is not known, and
// does without where it cannot be had; but what is throttled ends the round: the
// heartbeat would be as well.
func (p *pulse) beat(ctx context.Context) error {
	unknown := p.learn(ctx)
	if errors.Is(unknown, ErrNoHook) || throttled(unknown) {
		return p.judge(unknown)
	}
	if unknown == nil && p.sent+p.missed == 0 && time.Since(p.begun) < p.first() {
		return p.judge(nil)
	}
	p.tries++
	err := p.client.Heartbeat(ctx, p.hook)
	if err == nil {
		p.sent++
	}
	return errors.Join(unknown, p.judge(err))
}

func (p *pulse) learn(ctx context.Context) (err error) {
	if p.timeout == 0 {
		p.timeout, err = p.client.HeartbeatTimeout(ctx, p.hook.Group, p.hook.Name)
	}
	return err
}

// judge counts how a round ended.
func (p *pulse) judge(err error) error {
	p.failed = err
	switch {
	case err == nil:
		p.missed = 0
	case errors.Is(err, ErrNoAction):
		p.missed++
		p.failed = nil
	}
	if p.held++; !throttled(err) {
		p.held = 0
	}
	return err
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

// first is when the first heartbeat is due, since the beginning: the wait began
// earlier, with the instance.
func (p *pulse) first() time.Duration {
	return p.window()*3/10 + time.Duration(pace.Share(p.hook.Instance, 0)*float64(p.window()/10))
}

// next is the time to the next round: 40 to 50 % of the timeout, or 8 to 10 %
// after a failure, so that several more fit into what is left.
func (p *pulse) next() time.Duration {
	share := p.window() / 2
	switch {
	case p.held > 0 && p.timeout == 0:
		return pauseAfter(p.hook.Instance, p.held, p.failed)
	case p.held > 0:
		return min(pauseAfter(p.hook.Instance, p.held, p.failed), p.timeout/10)
	case p.failed != nil:
		share = p.window() / 10
	case p.sent+p.missed == 0:
		return p.first() - time.Since(p.begun)
	}
	return share - time.Duration(pace.Share(p.hook.Instance, p.tries)*float64(share/5))
}
