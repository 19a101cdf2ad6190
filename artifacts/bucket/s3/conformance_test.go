package s3_test

import (
	"testing"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

func TestConforms(t *testing.T) {
	buckettest.Conformance(t, func(t *testing.T) bucket.Bucket {
		b, _ := mocked(t)
		return b
	})
}
