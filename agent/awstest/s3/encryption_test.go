package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const kmsKey = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// encrypted is an upload in one go.
func encrypted(client *sdk.Client, t *testing.T, algorithm, key string) (*sdk.PutObjectOutput, error) {
	in := &sdk.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("hello"), ServerSideEncryption: types.ServerSideEncryption(algorithm)}
	if key != "" {
		in.SSEKMSKeyId = &key
	}
	return client.PutObject(t.Context(), in)
}

func TestEncryptionIsReported(t *testing.T) {
	_, _, client := start(t)
	for _, c := range []struct{ algorithm, key, want, wantKey string }{
		{"", "", "AES256", ""},
		{"AES256", "", "AES256", ""},
		{"aws:kms", kmsKey, "aws:kms", kmsKey},
		{"aws:kms", "1234abcd-12ab-34cd-56ef-1234567890ab", "aws:kms", kmsKey},
		{"aws:kms", "alias/releases", "aws:kms", "arn:aws:kms:us-east-1:123456789012:alias/releases"},
		{"aws:kms:dsse", kmsKey, "aws:kms:dsse", kmsKey},
	} {
		put, err := encrypted(client, t, c.algorithm, c.key)
		wantCode(t, err, "")
		head, err := client.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		wantCode(t, err, "")
		for _, got := range []string{
			fmt.Sprint(put.ServerSideEncryption, " ", aws.ToString(put.SSEKMSKeyId)),
			fmt.Sprint(head.ServerSideEncryption, " ", aws.ToString(head.SSEKMSKeyId)),
		} {
			if want := c.want + " " + c.wantKey; got != want {
				t.Errorf("%s %s: reported as %s, want %s", c.algorithm, c.key, got, want)
			}
		}
		again, err := encrypted(client, t, c.algorithm, c.key)
		wantCode(t, err, "")
		if same := *again.ETag == *put.ETag; same != (c.want == "AES256") {
			t.Errorf("%s: the same bytes have the same ETag: %v", c.algorithm, same)
		}
	}
	_, err := encrypted(client, t, "AES256", kmsKey)
	wantCode(t, err, "InvalidArgument")
	_, err = encrypted(client, t, "rot13", "")
	wantCode(t, err, "InvalidArgument")
}

func TestEncryptionOfParts(t *testing.T) {
	_, server, client := start(t)
	m := startMultipart(t, client, func(in *sdk.CreateMultipartUploadInput) {
		in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String(kmsKey)
	})
	done, err := m.complete(asItIs, m.part(1, make([]byte, 5<<20)), m.part(2, []byte("end")))
	wantCode(t, err, "")
	if done.ServerSideEncryption != types.ServerSideEncryptionAwsKms || aws.ToString(done.SSEKMSKeyId) != kmsKey || !strings.HasSuffix(*done.ETag, `-2"`) {
		t.Errorf("%+v", done)
	}
	for _, method := range []string{"GET", "HEAD"} {
		resp, _ := rawRequest(t, method, server.URL+"/b/k", nil, map[string]string{sseHeader: "aws:kms"})
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s with a header of encryption: %d", method, resp.StatusCode)
		}
	}
}

// The policies are those of AWS's user guide.
func TestPolicyThatDemandsEncryption(t *testing.T) {
	deny := func(condition string) string {
		return `{"Version":"2012-10-17","Id":"p","Statement":[{"Sid":"s","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":` + condition + `}]}`
	}
	const other = "arn:aws:kms:us-east-1:123456789012:key/other"
	for _, c := range []struct {
		condition string
		allowed   [4]bool // nothing, AES256, aws:kms with another key, aws:kms with kmsKey
	}{
		{`{"Null":{"s3:x-amz-server-side-encryption":"true"}}`, [4]bool{false, true, true, true}},
		{`{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}`, [4]bool{false, false, true, true}},
		{`{"StringEquals":{"s3:x-amz-server-side-encryption":["AES256"]}}`, [4]bool{true, false, true, true}},
		{`{"ArnNotEqualsIfExists":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"` + kmsKey + `"}}`, [4]bool{false, false, false, true}},
	} {
		_, _, client := start(t)
		_, err := client.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyInput{Bucket: aws.String("b"), Policy: aws.String(deny(c.condition))})
		wantCode(t, err, "")
		got, err := client.GetBucketPolicy(t.Context(), &sdk.GetBucketPolicyInput{Bucket: aws.String("b")})
		wantCode(t, err, "")
		if *got.Policy != deny(c.condition) {
			t.Errorf("the policy is %s", *got.Policy)
		}
		for i, e := range [][2]string{{}, {"AES256", ""}, {"aws:kms", other}, {"aws:kms", "1234abcd-12ab-34cd-56ef-1234567890ab"}} {
			want := "AccessDenied"
			if c.allowed[i] {
				want = ""
			}
			_, err := encrypted(client, t, e[0], e[1])
			if errorCode(err) != want {
				t.Errorf("%s, %v: %q, want %q", c.condition, e, errorCode(err), want)
			}
			_, err = client.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: aws.String("b"), Key: aws.String("k"), ServerSideEncryption: types.ServerSideEncryption(e[0]), SSEKMSKeyId: optional(e[1])})
			if errorCode(err) != want {
				t.Errorf("%s, %v, in parts: %q, want %q", c.condition, e, errorCode(err), want)
			}
		}
		_, err = client.DeleteBucketPolicy(t.Context(), &sdk.DeleteBucketPolicyInput{Bucket: aws.String("b")})
		wantCode(t, err, "")
		_, err = encrypted(client, t, "", "")
		wantCode(t, err, "")
		_, err = client.GetBucketPolicy(t.Context(), &sdk.GetBucketPolicyInput{Bucket: aws.String("b")})
		wantCode(t, err, "NoSuchBucketPolicy")
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func TestPolicyThatIsNotUnderstood(t *testing.T) {
	_, _, client := start(t)
	for text, want := range map[string]string{
		`{`:                  "MalformedPolicy",
		`{"Statement":[]}`:   "MalformedPolicy",
		`{"Statement":[{}]}`: "NotImplemented",
		`{"Statement":[{"Effect":"Deny","Action":"s3:GetObject","Resource":"*","Condition":{"Null":{"s3:x-amz-server-side-encryption":"true"}}}]}`:       "NotImplemented",
		`{"Statement":[{"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`:                  "NotImplemented",
		`{"Statement":[{"Effect":"Deny","Action":"s3:PutObject","Resource":"*","Condition":{"StringNotLike":{"s3:x-amz-server-side-encryption":"x"}}}]}`: "NotImplemented",
	} {
		_, err := client.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyInput{Bucket: aws.String("b"), Policy: aws.String(text)})
		if errorCode(err) != want {
			t.Errorf("%s: %q, want %q", text, errorCode(err), want)
		}
	}
}
