package instance

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"koboshi/artifacts/pace"
)

const defaultPatience = 30 * time.Second

// Options are the choices of [New]. The zero value is right on an instance.
type Options struct {
	// Endpoint is the URL of the metadata service. Where it is empty,
	// AWS_EC2_METADATA_SERVICE_ENDPOINT counts, then
	// AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (IPv4 or IPv6), then IPv4.
	Endpoint string
	// Patience is how long one read is repeated while the service gives no
	// answer, or the role has no credentials yet; 0 means 30 s.
	Patience time.Duration
}

// Metadata asks the instance metadata service. It is safe for concurrent use.
type Metadata struct {
	client   *imds.Client
	patience time.Duration
	attempts int // at one read; 0 = as many as the patience allows
	identity atomic.Pointer[Identity]
}

// New returns a Metadata. It asks nothing yet.
func New(opts Options) *Metadata {
	return newMetadata(opts, newTransport())
}

func newMetadata(opts Options, via *transport) *Metadata {
	options := imds.Options{
		Endpoint:                 opts.Endpoint,
		HTTPClient:               via,
		Retryer:                  persistent(attempts()),
		EnableFallback:           aws.FalseTernary,
		DisableDefaultMaxBackoff: true,
	}
	// An unknown mode leaves the default, as in the SDK.
	_ = options.EndpointMode.SetFromString(os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"))
	patience := opts.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	return &Metadata{client: imds.New(options), patience: patience, attempts: attempts()}
}

// attempts is the limit of AWS_METADATA_SERVICE_NUM_ATTEMPTS for one read; 0
// leaves only the patience. A value that is no positive number is ignored.
func attempts() int {
	n, err := strconv.Atoi(os.Getenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS"))
	if err != nil {
		return 0
	}
	return max(0, n)
}

// persistent is the one retry layer of this package. Until the context ends or
// attempts are used up (0 = never), it repeats requests that failed in a way that
// [transport] or the refusal of a token marks as worth another try.
func persistent(attempts int) aws.Retryer {
	return retry.AddWithMaxAttempts(retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(backoff)
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableError{}}
	}), attempts)
}

// backoff grows from a quarter of a second to two seconds. Its jitter differs by
// process: the apps of one machine share the service's limit, and the instance id
// may not be known yet.
func backoff(attempt int, _ error) (time.Duration, error) {
	share := pace.Share(strconv.Itoa(os.Getpid()), attempt)
	return pace.Backoff{First: 250 * time.Millisecond, Most: 2 * time.Second}.Pause(attempt, share), nil
}

// metadata reads /latest/meta-data/<path>.
func (m *Metadata) metadata(ctx context.Context, path string) ([]byte, error) {
	return m.read(ctx, path, func(ctx context.Context) (io.Reader, error) {
		out, err := m.client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
		if err != nil {
			return nil, err
		}
		return out.Content, nil
	})
}

// dynamic reads /latest/dynamic/<path>.
func (m *Metadata) dynamic(ctx context.Context, path string) ([]byte, error) {
	return m.read(ctx, path, func(ctx context.Context) (io.Reader, error) {
		out, err := m.client.GetDynamicData(ctx, &imds.GetDynamicDataInput{Path: path})
		if err != nil {
			return nil, err
		}
		return out.Content, nil
	})
}

// read reads one value within the patience.
func (m *Metadata) read(ctx context.Context, what string, ask func(context.Context) (io.Reader, error)) ([]byte, error) {
	patient, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	asked, trail := follow(patient)
	answer, err := ask(asked)
	if err == nil {
		return io.ReadAll(answer)
	}
	return nil, fmt.Errorf("read %s: %w", what, trail.cause(ctx))
}
