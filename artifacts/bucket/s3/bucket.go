package s3

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/artifacts/bucket"
)

// Bucket is one bucket, beneath a prefix that is put before every key. Its
// methods may be called from any number of goroutines.
type Bucket struct {
	// Progress, if not nil, is called with the bytes of a large object that have
	// arrived so far, from several goroutines. Set it before the first Put.
	Progress func(key string, sent, size int64)

	client *s3.Client
	name   string
	prefix string // "" or with a slash at its end
}

var _ bucket.Bucket = (*Bucket)(nil)

// New is the bucket called name. Region, credentials, retryer and HTTP client
// are those of cfg. With an endpoint of its own (AWS_ENDPOINT_URL) the bucket's
// name goes into the path, since such a server seldom has a host name for each
// bucket.
func New(cfg aws.Config, name, prefix string) *Bucket {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil
		// S3 has no checksum of a range, and the SDK would log that each time.
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &Bucket{client: client, name: name, prefix: prefix}
}

// Limits of [HTTPClient].
const (
	connectionsPerHost = 64
	connectTimeout     = 5 * time.Second
	headerTimeout      = 30 * time.Second // from the end of the request to the first byte
)

// HTTPClient is one that keeps enough connections for parallel ranges. It
// speaks HTTP/1.1, where each range has a connection, and so a congestion
// window, of its own. A proxy in the environment is used.
func HTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = (&net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}).DialContext
		t.ForceAttemptHTTP2 = false
		t.MaxIdleConns = 2 * connectionsPerHost
		t.MaxIdleConnsPerHost = connectionsPerHost
		t.TLSHandshakeTimeout = 2 * connectTimeout
		t.ResponseHeaderTimeout = headerTimeout
	})
}
