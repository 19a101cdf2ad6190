package lifecycle

import (
	"context"
	"errors"
	"time"

	"koboshi/artifacts/pace"
)

// KeepAlive keeps the action waiting until ctx ends. It begins after the time
// given, so that a boot that ends sooner costs no call, with looking up the
// lifecycle hook's timeout. The first heartbeat is sent when a third of the
// timeout has passed since KeepAlive was called, the others at intervals of a
// little less than half of it. One that failed is sent again well before the
// action times out, one that was throttled after growing pauses. report is called
// after each round, with the number of heartbeats so far and the error.
//
// It returns early where there is nothing to keep: no such lifecycle hook, one of
// CodeDeploy, two refusals in a row, or AWS's limit for a wait, the lesser of 48 h
// and 100 timeouts. Stop it, and wait for it, before completing the action.
func (c *Client) KeepAlive(ctx context.Context, action Action, after time.Duration, report func(n int, err error)) {
	if err := action.check(); err != nil {
		report(0, err)
		return
	}
	pulse := pulse{client: c.attempts(1), action: action, begun: time.Now()}
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
// one is worth repeating depends on the action's timeout.
type pulse struct {
	client    *Client
	action    Action
	begun     time.Time
	timeout   time.Duration // 0 until it is known
	sent      int           // heartbeats that were taken
	tries     int
	missed    int   // refusals in a row
	throttles int   // rounds in a row that were throttled
	failed    error // the last round, other than by a refusal
}

// beat is one round. Where the timeout is not known yet it is looked up first. If
// that fails the heartbeat is sent all the same, except if it was throttled: the
// heartbeat would be throttled as well.
func (p *pulse) beat(ctx context.Context) error {
	unknown := p.learn(ctx)
	if errors.Is(unknown, ErrNoHook) || throttled(unknown) {
		return p.judge(unknown)
	}
	if unknown == nil && p.sent+p.missed == 0 && time.Since(p.begun) < p.first() {
		return p.judge(nil)
	}
	p.tries++
	err := p.client.Heartbeat(ctx, p.action)
	if err == nil {
		p.sent++
	}
	return errors.Join(unknown, p.judge(err))
}

func (p *pulse) learn(ctx context.Context) (err error) {
	if p.timeout == 0 {
		p.timeout, err = p.client.HeartbeatTimeout(ctx, p.action.Group, p.action.Hook)
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
	if p.throttles++; !throttled(err) {
		p.throttles = 0
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

// window is the action's timeout, or AWS's least while that is not known.
func (p *pulse) window() time.Duration { return max(p.timeout, minTimeout) }

// first is the time from the start to the first heartbeat. The wait itself began
// earlier, with the instance.
func (p *pulse) first() time.Duration {
	return p.window()*3/10 + time.Duration(pace.Share(p.action.Instance, 0)*float64(p.window()/10))
}

// next is the time to the next round: 40 to 50 % of the timeout, or 8 to 10 %
// after a failure, so that several more fit into what is left.
func (p *pulse) next() time.Duration {
	share := p.window() / 2
	switch {
	case p.throttles > 0 && p.timeout == 0:
		return pauseAfter(p.action.Instance, p.throttles, p.failed)
	case p.throttles > 0:
		return min(pauseAfter(p.action.Instance, p.throttles, p.failed), p.timeout/10)
	case p.failed != nil:
		share = p.window() / 10
	case p.sent+p.missed == 0:
		return p.first() - time.Since(p.begun)
	}
	return share - time.Duration(pace.Share(p.action.Instance, p.tries)*float64(share/5))
}
