package s3

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/artifacts/bucket"
)

// Bucket is one bucket, beneath a prefix that is put before every key. Its
// methods may be called from any number of goroutines.
type Bucket struct {
	// Progress, if not nil, is called with the bytes of an object that have been
	// sent so far, from several goroutines. Set it before the first Put.
	Progress func(key string, sent, size int64)

	// Encryption is that of every Put. Set it before the first one.
	Encryption Encryption

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
		o.APIOptions = append(slices.Clone(o.APIOptions), BoundAnswers, readRegion)
	})
	return &Bucket{client: client, name: name, prefix: prefix}
}
