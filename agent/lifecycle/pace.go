package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"koboshi/artifacts/pace"
)

// The pauses before a call is repeated. Auto Scaling's rate is shared by the
// account: a fleet that calls again every few seconds uses it up, and only gets
// slower. Each further pause is four times as long.
const (
	firstPause     = 200 * time.Millisecond
	throttledPause = 5 * time.Second
	longestPause   = 2 * time.Minute
)

// pauseAfter is the pause after the instance's nth failed attempt, from 1.
func pauseAfter(instance string, n int, err error) time.Duration {
	b := pace.Backoff{First: firstPause, Most: longestPause, Factor: 4}
	if throttled(err) {
		b.First = throttledPause
	}
	return b.Pause(n, pace.Share(instance, n))
}

func throttled(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err).Bool()
}

// pacer is a retryer that keeps the budget and the classification of errors of
// another one, but has pauses for one instance among many. It remembers the last
// error that was worth another attempt.
type pacer struct {
	aws.Retryer
	instance string
	last     *error
}

// IsErrorRetryable implements [aws.Retryer].
func (p pacer) IsErrorRetryable(err error) bool {
	again := p.Retryer.IsErrorRetryable(err)
	if again {
		*p.last = err
	}
	return again
}

// RetryDelay implements [aws.Retryer].
func (p pacer) RetryDelay(attempt int, err error) (time.Duration, error) {
	return pauseAfter(p.instance, attempt, err), nil
}

// paced returns a client that repeats calls with the instance's pauses, for one
// goroutine.
func (c *Client) paced(instance string) *Client {
	last := new(error)
	paced := c.with(func(o *autoscaling.Options) { o.Retryer = pacer{o.Retryer, instance, last} })
	paced.last = last
	return paced
}

// because adds, to an error that is only the end of the time, the last error
// before it.
func (c *Client) because(ctx context.Context, err error) error {
	if ctx.Err() == nil || c.last == nil || *c.last == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, explain(*c.last))
}

// checked is a retryer that checks before each attempt, the first one included,
// whether the request is still wanted.
type checked struct {
	aws.Retryer
	ready func(context.Context) error
}

// GetAttemptToken implements [aws.RetryerV2]. The SDK asks for the token after
// the pause and just before the attempt.
func (c checked) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if err := c.ready(ctx); err != nil {
		return nil, notReady{err}
	}
	return c.GetInitialToken(), nil
}

// notReady marks the error of ready, which the SDK wraps.
type notReady struct{ error }

// onlyIf returns a client that makes each attempt only if ready returns nil.
func (c *Client) onlyIf(ready func(context.Context) error) *Client {
	if ready == nil {
		return c
	}
	return c.with(func(o *autoscaling.Options) { o.Retryer = checked{o.Retryer, ready} })
}

// attempts returns a client that makes at most n attempts at a call; with 0 only
// the retryer's budget and the context limit them.
func (c *Client) attempts(n int) *Client {
	return c.with(func(o *autoscaling.Options) { o.Retryer = retry.AddWithMaxAttempts(o.Retryer, n) })
}

func (c *Client) with(option func(*autoscaling.Options)) *Client {
	return &Client{api: c.api, last: c.last, options: append(c.options[:len(c.options):len(c.options)], option)}
}
