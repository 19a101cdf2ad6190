package lease_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"koboshi/agent/awstest"
	"koboshi/agent/awstest/dynamodb"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
	"koboshi/artifacts/bucket/dir"
	"koboshi/artifacts/bucket/s3"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "secret-of-the-test"
	region    = "eu-west-1"
)

// config is what cmd builds from the environment, with retries that do not make a test
// wait.
func config(url string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(url),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:   s3.HTTPClient(),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, time.Millisecond })
		},
	}
}

// keys are those of a table of node ids in the mock.
var shardKey, idKey = dynamodb.Key{Name: "shard", Type: "S"}, dynamodb.Key{Name: "id", Type: "N"}

// mock is one with a bucket and a table.
func mock(t *testing.T, options ...awstest.Option) *awstest.Server {
	t.Helper()
	server := awstest.New(t, options...)
	server.S3().CreateBucket("releases")
	if err := server.DynamoDB().CreateTable(region, "node-ids", shardKey, idKey); err != nil {
		t.Fatal(err)
	}
	return server
}

// objectsOf and rowsOf are the tables of a server.
func objectsOf(url, name string) func(scope string) lease.Table {
	b := s3.New(config(url), name, "apps/web")
	return func(scope string) lease.Table {
		return lease.NewObjects(b, scope, "s3://"+name+"/apps/web", time.Now)
	}
}

func rowsOf(url, name string) func(scope string) lease.Table {
	return func(scope string) lease.Table { return lease.NewRows(config(url), name, scope, time.Now) }
}

// within is the table of objects in a bucket.
func within(b bucket.Bucket) func(scope string) lease.Table {
	return func(scope string) lease.Table { return lease.NewObjects(b, scope, "the bucket", time.Now) }
}

func TestConforms(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) func(scope string) lease.Table{
		"memory, as objects": func(*testing.T) func(string) lease.Table { return memory(leasetest.Objects) },
		"memory, as rows":    func(*testing.T) func(string) lease.Table { return memory(leasetest.Rows) },
		"objects in memory":  func(*testing.T) func(string) lease.Table { return within(buckettest.NewMemory()) },
		"objects in files":   func(t *testing.T) func(string) lease.Table { return within(dir.New(t.TempDir(), "")) },
		"the mock's S3":      func(t *testing.T) func(string) lease.Table { return objectsOf(mock(t).URL(), "releases") },
		"the mock's DynamoDB": func(t *testing.T) func(string) lease.Table {
			return rowsOf(mock(t).URL(), "node-ids")
		},
	} {
		t.Run(name, func(t *testing.T) { leasetest.Conformance(t, open) })
	}
}

func memory(kind leasetest.Kind) func(scope string) lease.Table {
	return func(scope string) lease.Table { return leasetest.NewMemory(kind, scope) }
}
