package s3

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestBuckets(t *testing.T) {
	_, _, client := start(t)
	create := func(name string, configuration *types.CreateBucketConfiguration) error {
		_, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: configuration})
		return err
	}
	second := "second"
	wantCode(t, create(second, &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}), "")
	wantCode(t, create(second, nil), "BucketAlreadyOwnedByYou")
	wantCode(t, create("Not_Valid", nil), "InvalidBucketName")
	_, err := client.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Input{Bucket: &second})
	wantCode(t, err, "")
}
