package s3

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/artifacts/bucket"
)

// Get implements [bucket.Bucket]. Other errors are [*bucket.AnswerError], and
// those of S3 as [*Error].
func (b *Bucket) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	if err := r.Check(); err != nil {
		return nil, bucket.Object{}, b.failed("get", key, bucket.Condition{}, err)
	}
	in := &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key)}
	if !r.Whole() {
		in.Range = aws.String(r.Header())
	}
	if r.ETag != "" {
		in.IfMatch = &r.ETag
	}
	if r.Unless != "" {
		in.IfNoneMatch = &r.Unless
	}
	out, err := b.client.GetObject(ctx, in)
	if r.Unless != "" && notModified(err) {
		err = bucket.ErrUnchanged
	}
	if err != nil {
		return nil, bucket.Object{}, b.failed("get", key, bucket.Condition{ETag: r.ETag}, err)
	}
	body, object, err := answer(out, r)
	if err != nil {
		return nil, bucket.Object{}, b.failed("get", key, bucket.Condition{}, errors.Join(err, out.Body.Close()))
	}
	object.Key = key
	return body, object, nil
}

// notModified reports an answer (304) that is none of S3's errors.
func notModified(err error) bool {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	return ok && answer.HTTPStatusCode() == http.StatusNotModified
}

// answer compares an answer with its request. A store without ETags, or a proxy that
// makes them weak, cannot pin a range: then the caller's hash decides.
func answer(out *s3.GetObjectOutput, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	object := bucket.Object{ETag: strongETag(aws.ToString(out.ETag)), Modified: aws.ToTime(out.LastModified), Date: date(out.ResultMetadata)}
	if err := bucket.CheckEncoding(aws.ToString(out.ContentEncoding)); err != nil {
		return nil, object, err
	}
	if r.ETag != "" && object.ETag != "" && r.ETag != object.ETag {
		return nil, object, &bucket.AnswerError{What: "ETag", Got: object.ETag, Want: r.ETag}
	}
	if out.ContentLength == nil {
		return nil, object, &bucket.AnswerError{What: "Content-Length", Want: "a number of bytes"}
	}
	var err error
	object.Size, err = r.Answered(r.Whole(), aws.ToString(out.ContentRange), *out.ContentLength)
	if err == nil && r.Unless != "" && object.ETag == r.Unless {
		err = bucket.ErrUnchanged // a store that does not know If-None-Match
	}
	if err != nil {
		return nil, object, err
	}
	return out.Body, object, nil // net/http yields exactly Content-Length bytes, or an error
}
