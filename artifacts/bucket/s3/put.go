package s3

import (
	"context"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/pace"
)

// Put implements [bucket.Bucket]. Above 16 MiB the object is sent in parts,
// several at a time; only the last request makes the object, and it carries the
// condition. The Object has no modification time.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (bucket.Object, error) {
	for attempt := 1; ; attempt++ {
		answer, err := b.put(ctx, key, body, size, when)
		if err == nil {
			return bucket.Object{Key: key, Size: size, ETag: strongETag(aws.ToString(answer.etag)), Date: date(answer.metadata)}, nil
		}
		if when.Once || !errors.Is(err, bucket.ErrConflict) || !b.wait(ctx, attempt, err) {
			return bucket.Object{}, err
		}
	}
}

// Delete implements [bucket.Bucket].
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key)})
	err = b.failed("delete", key, bucket.Condition{}, err)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "NoSuchKey" { // as some stores answer
		return nil
	}
	return err
}

// made is the answer to the request that has made an object.
type made struct {
	etag     *string
	metadata middleware.Metadata
}

func (b *Bucket) put(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (m made, err error) {
	if size > partBytes {
		m, err = b.putParts(ctx, key, body, size, when)
	} else {
		m, err = b.putWhole(ctx, key, body, size, when)
	}
	return m, b.failed("put", key, when, err)
}

func (b *Bucket) putWhole(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (made, error) {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key), Body: io.NewSectionReader(body, 0, size), ContentLength: &size}
	in.IfNoneMatch, in.IfMatch = headers(when)
	in.ServerSideEncryption, in.SSEKMSKeyId = b.Encryption.headers()
	out, err := b.client.PutObject(ctx, in, b.meter(key, size).request(size))
	if err != nil {
		return made{}, err
	}
	return made{out.ETag, out.ResultMetadata}, nil
}

// headers are If-None-Match and If-Match.
func headers(when bucket.Condition) (ifNoneMatch, ifMatch *string) {
	if when.Absent {
		ifNoneMatch = aws.String("*")
	}
	if when.ETag != "" {
		ifMatch = &when.ETag
	}
	return ifNoneMatch, ifMatch
}

// wait is the pause before a write is begun again after a conflict, at the
// pace and out of the budget of the client's own retryer. What a conflict
// takes from the budget is not given back.
func (b *Bucket) wait(ctx context.Context, attempt int, err error) bool {
	retryer := b.client.Options().Retryer
	if limit := retryer.MaxAttempts(); limit > 0 && attempt >= limit {
		return false
	}
	delay, unknown := retryer.RetryDelay(attempt, err)
	if unknown != nil {
		return false
	}
	if _, spent := retryer.GetRetryToken(ctx, err); spent != nil {
		return false
	}
	return pace.Sleep(ctx, delay) == nil
}
