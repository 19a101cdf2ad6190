package s3

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestBuckets(t *testing.T) {
	fake, _, client := start(t)
	ctx := t.Context()
	create := func(name string, configuration *types.CreateBucketConfiguration) error {
		_, err := client.CreateBucket(ctx, &sdk.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: configuration})
		return err
	}
	wantCode(t, create("second", &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}), "")
	wantCode(t, create("second", nil), "BucketAlreadyOwnedByYou")
	wantCode(t, create("Not_Valid", nil), "InvalidBucketName")

	list, err := client.ListBuckets(ctx, &sdk.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 2 || *list.Buckets[1].Name != "second" || list.Buckets[1].CreationDate.IsZero() {
		t.Errorf("buckets: %+v, %v", list, err)
	}
	where, err := client.GetBucketLocation(ctx, &sdk.GetBucketLocationInput{Bucket: aws.String("second")})
	if err != nil || where.LocationConstraint != "eu-west-1" {
		t.Errorf("location: %+v, %v", where, err)
	}
	where, err = client.GetBucketLocation(ctx, &sdk.GetBucketLocationInput{Bucket: aws.String("b")})
	if err != nil || where.LocationConstraint != "" {
		t.Errorf("location of the default: %+v, %v", where, err)
	}
	versioning, err := client.GetBucketVersioning(ctx, &sdk.GetBucketVersioningInput{Bucket: aws.String("b")})
	if err != nil || versioning.Status != "" {
		t.Errorf("versioning: %+v, %v", versioning, err)
	}
	head, err := client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: aws.String("second")})
	if err != nil || aws.ToString(head.BucketRegion) != "eu-west-1" {
		t.Errorf("head: %+v, %v", head, err)
	}
	_, err = client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: aws.String("none")})
	wantCode(t, err, "NotFound")

	fake.Put("second", "k", nil)
	_, err = client.DeleteBucket(ctx, &sdk.DeleteBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "BucketNotEmpty")
	fake.Delete("second", "k")
	_, err = client.DeleteBucket(ctx, &sdk.DeleteBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "")
	_, err = client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "NotFound")
}

func TestDeleteObjects(t *testing.T) {
	fake, server, client := start(t)
	etag := fake.Put("b", "a", []byte("1"))
	fake.Put("b", "b", []byte("2"))
	fake.Put("b", "c", []byte("3"))
	out, err := client.DeleteObjects(t.Context(), &sdk.DeleteObjectsInput{Bucket: aws.String("b"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("a"), ETag: &etag}, {Key: aws.String("b"), ETag: &etag}, {Key: aws.String("none")},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Deleted) != 2 || len(out.Errors) != 1 || *out.Errors[0].Key != "b" || *out.Errors[0].Code != "PreconditionFailed" {
		t.Errorf("deleted %+v, errors %+v", out.Deleted, out.Errors)
	}
	if keys := fake.Keys("b"); !slices.Equal(keys, []string{"b", "c"}) {
		t.Errorf("left: %q", keys)
	}
	const document = "<Delete><Object><Key>c</Key></Object></Delete>"
	for name, c := range map[string]struct{ body, want string }{
		"unproven":  {document, "InvalidRequest"},
		"malformed": {"<Delete><Object>", "MalformedXML"},
		"too large": {"<Delete>" + strings.Repeat(" ", maxDocument), "MalformedXML"},
		"trailing":  {document + "<x/>", "MalformedXML"},
	} {
		resp, body := rawRequest(t, "POST", server.URL+"/b?delete", strings.NewReader(c.body), nil)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "<Code>"+c.want+"</Code>") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}
