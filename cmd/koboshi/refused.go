package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"koboshi/artifacts/pace"
)

// How requests with refused credentials are repeated. A new role, policy or access
// key takes IAM seconds to a minute to distribute, and the credentials of a role
// may be withdrawn while they are cached.
const (
	refusedBriefly = time.Second // how long on a live machine, from the first refusal on
	refusedApart   = time.Minute // refusals that are further apart have nothing to do with each other
	firstRefusal   = 500 * time.Millisecond
	mostRefusal    = 10 * time.Second
	forgetEvery    = time.Second // requests that run side by side are refused together
)

// refused reports whether AWS refuses the caller's credentials or permissions,
// which may be so new that AWS does not know them everywhere. A signature that
// does not match is not included: a wrong secret or a proxy that changes requests
// is not cured by new credentials.
//
// Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
// and https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
func refused(err error) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch answer.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired",
		"InvalidToken", "InvalidTokenId", "InvalidClientTokenId", "InvalidAccessKeyId",
		"UnrecognizedClient", "UnrecognizedClientException", "AuthFailure", "MissingAuthenticationToken",
		"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired":
		return true
	}
	return false
}

// A persistent retryer also repeats requests whose credentials are refused, with
// new credentials: for about a second, or after persist was called until the
// contexts of the requests end. This does not use up the retry budget, since the
// pauses are long. It is the only retry layer; the retryer within classifies the
// other errors.
type persistent struct {
	aws.RetryerV2
	forget func() // drops the cached credentials
	jitter pace.Jitter

	persists atomic.Bool
	refusals atomic.Int64

	mu                     sync.Mutex
	first, last, forgotten time.Time // of the refusals that belong together
}

// newPersistent wraps the retryer of cfg for all clients that are made of it.
func newPersistent(cfg aws.Config, seed string) (aws.Config, *persistent) {
	p := &persistent{forget: func() {}, jitter: pace.Jitter{Seed: seed}}
	if cache, ok := cfg.Credentials.(interface{ Invalidate() }); ok {
		p.forget = cache.Invalidate
	}
	p.RetryerV2, _ = cfg.Retryer().(aws.RetryerV2) // as all of the SDK's are
	cfg.Retryer = func() aws.Retryer { return p }
	return cfg, p
}

// persist makes the retryer repeat refused requests until their contexts end.
func (p *persistent) persist() { p.persists.Store(true) }

// MaxAttempts implements [aws.Retryer]. A limit that is not a plain number is
// enforced by RetryDelay.
func (p *persistent) MaxAttempts() int {
	if p.persists.Load() {
		return 0
	}
	return p.RetryerV2.MaxAttempts()
}

// IsErrorRetryable implements [aws.Retryer].
func (p *persistent) IsErrorRetryable(err error) bool {
	if !refused(err) {
		return p.RetryerV2.IsErrorRetryable(err)
	}
	p.refusals.Add(1)
	return p.note(time.Now()) < refusedBriefly || p.persists.Load()
}

// note counts a refusal, drops the credentials, and returns for how long they
// have been refused.
func (p *persistent) note(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first.IsZero() || now.Sub(p.last) > refusedApart {
		p.first = now
	}
	p.last = now
	if p.forgotten.IsZero() || now.Sub(p.forgotten) >= forgetEvery {
		p.forgotten = now
		p.forget()
	}
	return now.Sub(p.first)
}

// pause is at most how long to wait after a refusal: half as long as credentials
// have been refused so far.
func (p *persistent) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(max(time.Since(p.first)/2, firstRefusal), mostRefusal)
}

// errNoTime is returned where the context would end before the next attempt: then
// the error is the refusal and not the end of the context.
var errNoTime = errors.New("no time is left to ask again")

// GetRetryToken implements [aws.Retryer].
func (p *persistent) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if !refused(err) {
		return p.RetryerV2.GetRetryToken(ctx, err)
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= p.pause() {
		return nil, errNoTime
	}
	return func(error) error { return nil }, nil
}

// RetryDelay implements [aws.Retryer].
func (p *persistent) RetryDelay(attempt int, err error) (time.Duration, error) {
	if refused(err) {
		return pace.Scatter(p.pause(), p.jitter.Next()), nil
	}
	// Refusals are counted for all requests together, not by request.
	if limit := p.RetryerV2.MaxAttempts(); limit > 0 && attempt >= limit+int(p.refusals.Load()) {
		return 0, &retry.MaxAttemptsError{Attempt: attempt, Err: err}
	}
	return p.RetryerV2.RetryDelay(attempt, err)
}
