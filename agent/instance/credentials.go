package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/smithy-go"

	"koboshi/artifacts/pace"
)

// Credentials returns the credentials of the instance's role, cached and renewed
// before they expire. Just after a launch they may be missing: they are waited
// for within the patience, then the error is [ErrNoCredentials]. While the
// service does not answer, the old credentials stay in use.
//
// It replaces the SDK's own provider for the role, and only that:
//
//	if aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
//		cfg.Credentials = metadata.Credentials()
//	}
func (m *Metadata) Credentials() aws.CredentialsProvider {
	return aws.NewCredentialsCache(&roleProvider{
		Provider: ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = m.client }),
		patience: m.patience, attempts: m.attempts,
	}, func(o *aws.CredentialsCacheOptions) {
		o.ExpiryWindow = 5 * time.Minute
		o.ExpiryWindowJitterFrac = 0.5
	})
}

// roleProvider is the SDK's provider for the role, but it waits for credentials.
// The other methods that the cache uses are those of the embedded provider.
type roleProvider struct {
	*ec2rolecreds.Provider
	patience time.Duration
	attempts int // 0 = as many as the patience allows
}

// Retrieve implements [aws.CredentialsProvider]. The cache does not pass on the
// end of the caller's context, so patience and attempts are its only limits.
func (p *roleProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	var cause error
	for round := 1; ; round++ {
		creds, err := p.ask(ctx)
		if err == nil {
			return creds, nil
		}
		if cause == nil || ctx.Err() == nil { // else the patience cut this round short
			cause = err
		}
		if !errors.Is(err, ErrNoCredentials) || round == p.attempts || !pause(ctx, round) {
			return aws.Credentials{}, fmt.Errorf("read role credentials: %w", cause)
		}
	}
}

// ask asks once. Its errors are new ones: the SDK's quote the document.
func (p *roleProvider) ask(ctx context.Context) (aws.Credentials, error) {
	asked, trail := follow(ctx)
	creds, err := p.Provider.Retrieve(asked)
	refused, isRefused := errors.AsType[smithy.APIError](err)
	switch {
	case err == nil && creds.HasKeys():
		return creds, nil
	case err == nil:
		return aws.Credentials{}, fmt.Errorf("%w: credentials without keys", ErrMalformed)
	case isRefused:
		return aws.Credentials{}, fmt.Errorf("%w: code %.64q", ErrNoCredentials, refused.ErrorCode())
	case errors.Is(trail.kind(), errNotFound):
		return aws.Credentials{}, fmt.Errorf("%w: status 404", ErrNoCredentials)
	default:
		return aws.Credentials{}, trail.kind()
	}
}

// pause waits for the next round and reports whether there is time for one.
func pause(ctx context.Context, round int) bool {
	delay, _ := backoff(round, nil)
	return pace.Sleep(ctx, delay) == nil
}
