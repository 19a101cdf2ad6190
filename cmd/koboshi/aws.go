package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/smithy-go/middleware"

	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/pace"
)

// The one retry budget of the process. Only the SDK's own retryer uses it: no
// request is retried by two layers.
const (
	maxAttempts  = 8
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 8 * time.Second
	retryTokens  = 500 // a retry costs 5 or 10 of them, a success gives one back
)

// loadAWS reads the standard AWS environment. seed is for the jitter of retries:
// an instance's id, or anything else that differs.
func loadAWS(ctx context.Context, seed string) (aws.Config, error) {
	if err := checkProxies(); err != nil {
		return aws.Config{}, err
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(s3.HTTPClient()),
		awsconfig.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = s3.HTTPClient() }), // the SDK gives it one of its own
		awsconfig.WithAPIOptions([]func(*middleware.Stack) error{s3.BoundAnswers}),
		awsconfig.WithAppID("koboshi"),
	)
	if err != nil {
		return cfg, failure.Mark(fmt.Errorf("AWS settings: %w", err), failure.ErrConfiguration)
	}
	retryer := newRetryer(seed, cfg.RetryMaxAttempts, cfg.RetryMode)
	cfg.Retryer = func() aws.Retryer { return retryer }
	cfg.RetryMaxAttempts = 0 // else each client would set it again, over lower limits of callers
	return cfg, nil
}

// forLaptop is for the release side: credentials from where the AWS CLI would take
// them.
func forLaptop(cfg aws.Config) aws.Config {
	cfg.Credentials = typed(cfg.Credentials)
	return cfg
}

// awsOfGroups is for calls on Auto Scaling groups: in the region of the environment, else
// in that of a source, if it has one.
func awsOfGroups(ctx context.Context, source string) (aws.Config, error) {
	cfg, err := loadAWS(ctx, holder()+strconv.Itoa(os.Getpid()))
	if err != nil {
		return cfg, err
	}
	if u, err := parseSource(source); err == nil && cfg.Region == "" {
		cfg.Region = regionOf(u)
	}
	if cfg.Region == "" {
		return cfg, failure.WithHint(failure.Mark(errors.New("no AWS region is set"), failure.ErrConfiguration), "set AWS_REGION to the region of the group")
	}
	return forLaptop(cfg), nil
}

// forInstance uses the instance's own region, and its role's credentials (over
// IMDSv2 only), where the environment has none.
func forInstance(cfg aws.Config, metadata *instance.Metadata, region string) aws.Config {
	if cfg.Region == "" {
		cfg.Region = region
	}
	if aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
		cfg.Credentials = metadata.Credentials()
	}
	cfg.Credentials = typed(cfg.Credentials)
	return cfg
}

// typed marks missing credentials, so that a caller can distinguish them from the
// failures that follow.
func typed(p aws.CredentialsProvider) aws.CredentialsProvider { return typedCredentials{p} }

type typedCredentials struct{ from aws.CredentialsProvider }

// Retrieve implements [aws.CredentialsProvider].
func (t typedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if t.from == nil {
		return aws.Credentials{}, instance.ErrNoCredentials
	}
	c, err := t.from.Retrieve(ctx)
	if err != nil && ctx.Err() == nil && !errors.Is(err, instance.ErrNoCredentials) {
		err = failure.Mark(err, instance.ErrNoCredentials)
	}
	return c, err
}

// Invalidate drops the cached credentials, so that they are fetched anew.
func (t typedCredentials) Invalidate() {
	if cache, ok := t.from.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
}

// newRetryer sets budget and pauses explicitly. The environment or the profile may
// limit the attempts (AWS_MAX_ATTEMPTS, max_attempts; 0 = not set), and choose the
// mode (AWS_RETRY_MODE, retry_mode): adaptive also slows down requests that were
// throttled before.
func newRetryer(seed string, attempts int, mode aws.RetryMode) aws.Retryer {
	set := func(o *retry.StandardOptions) {
		o.MaxAttempts = cmp.Or(attempts, maxAttempts)
		o.MaxBackoff = maxBackoff
		o.RateLimiter = ratelimit.NewTokenRateLimit(retryTokens)
		o.Backoff = &backoff{pace.Jitter{Seed: seed}}
	}
	if mode == aws.RetryModeAdaptive {
		return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) { o.StandardOptions = append(o.StandardOptions, set) })
	}
	return retry.NewStandard(set)
}

// backoff is the retryer's, with jitter so that a fleet that fails together does
// not retry together.
type backoff struct{ jitter pace.Jitter }

// BackoffDelay implements [retry.BackoffDelayer].
func (b *backoff) BackoffDelay(attempt int, _ error) (time.Duration, error) {
	return pace.Backoff{First: firstBackoff, Most: maxBackoff}.Pause(attempt, b.jitter.Next()), nil
}
