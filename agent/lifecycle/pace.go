package lifecycle

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"koboshi/artifacts/pace"
)

// How long a call that is to be repeated waits. Auto Scaling's rate is shared
// by the account: a fleet that comes back every few seconds keeps it spent, and
// only gets slower by that. Each further pause is four times as long.
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

// pacer is a retryer with its budget and its judgement of errors, but with the
// pauses of one instance among many.
type pacer struct {
	aws.Retryer
	instance string
}

// RetryDelay implements [aws.Retryer].
func (p pacer) RetryDelay(attempt int, err error) (time.Duration, error) {
	return pauseAfter(p.instance, attempt, err), nil
}

// paced returns a client whose calls come at the instance's pace.
func (c *Client) paced(instance string) *Client {
	return c.with(func(o *autoscaling.Options) { o.Retryer = pacer{o.Retryer, instance} })
}

// attempts returns a client that makes a call so often and no more; 0 has no
// limit other than the retryer's budget and the context's end.
func (c *Client) attempts(n int) *Client {
	return c.with(func(o *autoscaling.Options) { o.Retryer = retry.AddWithMaxAttempts(o.Retryer, n) })
}

func (c *Client) with(option func(*autoscaling.Options)) *Client {
	return &Client{api: c.api, options: append(c.options[:len(c.options):len(c.options)], option)}
}
