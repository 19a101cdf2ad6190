package s3

import (
	"context"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/artifacts"
)

// Put stores the first size bytes of body; above 16 MiB in parts, several at a
// time. Only the last request makes the object, all of it, and it carries the
// condition. Errors are artifacts.ErrExists, ErrChanged, ErrDenied, and
// ErrNotFound where there is no such bucket. The Object that is returned has no
// modification time.
//
// An answer that was lost makes the repeated request find its own work: then
// ErrExists or ErrChanged comes back for a write that took effect. A caller to
// whom that matters reads back and compares.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, when artifacts.Condition) (artifacts.Object, error) {
	for attempt := 1; ; attempt++ {
		etag, err := b.put(ctx, key, body, size, when)
		if err == nil {
			return artifacts.Object{Key: key, Size: size, ETag: etag}, nil
		}
		if !conflict(err) || !b.wait(ctx, attempt, err) {
			return artifacts.Object{}, err
		}
	}
}

func (b *Bucket) put(ctx context.Context, key string, body io.ReaderAt, size int64, when artifacts.Condition) (etag string, err error) {
	if size > partBytes {
		etag, err = b.putParts(ctx, key, body, size, when)
	} else {
		etag, err = b.putWhole(ctx, key, body, size, when)
	}
	if err == nil && etag == "" {
		err = &AnswerError{"ETag", "", "one"}
	}
	return etag, b.failed("put", key, when, err)
}

func (b *Bucket) putWhole(ctx context.Context, key string, body io.ReaderAt, size int64, when artifacts.Condition) (string, error) {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key), Body: io.NewSectionReader(body, 0, size), ContentLength: &size}
	in.IfNoneMatch, in.IfMatch = headers(when)
	out, err := b.client.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// headers are If-None-Match and If-Match.
func headers(when artifacts.Condition) (ifNoneMatch, ifMatch *string) {
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
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
