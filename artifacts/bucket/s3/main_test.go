package s3_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/agent/awstest"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/s3"
)

const (
	attempts  = 3
	accessKey = "AKIDEXAMPLE"
	secretKey = "secret-of-the-test"
)

// config is what cmd builds from the environment, with retries that do not
// make a test wait.
func config(url string) aws.Config {
	return aws.Config{
		Region:                     "us-east-1",
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported, // what the SDK's loader sets
		BaseEndpoint:               aws.String(url),
		Credentials:                credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:                 s3.HTTPClient(),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, time.Millisecond
			})
		},
	}
}

// mocked is an empty bucket of a mock, beneath a prefix.
func mocked(t *testing.T) (*s3.Bucket, *awstest.Server) {
	server := awstest.New(t)
	server.S3().CreateBucket("releases")
	return s3.New(config(server.URL()), "releases", "apps/web"), server
}

func put(t *testing.T, b *s3.Bucket, key string, data []byte, when bucket.Condition) (bucket.Object, error) {
	t.Helper()
	return b.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), when)
}

func mustPut(t *testing.T, b *s3.Bucket, key, data string) bucket.Object {
	t.Helper()
	object, err := put(t, b, key, []byte(data), bucket.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// get reads a range; err is of the request or of the body.
func get(t *testing.T, b *s3.Bucket, key string, r bucket.Range) (string, error) {
	t.Helper()
	body, _, err := b.Get(t.Context(), key, r)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(body)
	return string(data), err
}
