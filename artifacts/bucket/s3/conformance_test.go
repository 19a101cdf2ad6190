package s3_test

import (
	"testing"

	"koboshi/artifacts/bucket/buckettest"
)

func TestConforms(t *testing.T) {
	buckettest.Conformance(t, func(t *testing.T) buckettest.Bucket {
		b, _ := mocked(t)
		return b
	})
}
