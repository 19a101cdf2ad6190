package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/artifacts/bucket"
)

// Get implements [bucket.Bucket]. Other errors are [*AnswerError], and those of
// S3 as [*Error].
func (b *Bucket) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	if r.Offset < 0 || r.Length < 0 || r.Length > math.MaxInt64-r.Offset {
		return nil, bucket.Object{}, b.failed("get", key, bucket.Condition{}, fmt.Errorf("range %d+%d", r.Offset, r.Length))
	}
	in := &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key), Range: header(r)}
	if r.ETag != "" {
		in.IfMatch = &r.ETag
	}
	out, err := b.client.GetObject(ctx, in)
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

func whole(r bucket.Range) bool { return r.Offset == 0 && r.Length == 0 }

// header is the Range of RFC 9110, section 14.2; its last byte counts too.
func header(r bucket.Range) *string {
	switch {
	case whole(r):
		return nil
	case r.Length == 0:
		return aws.String(fmt.Sprintf("bytes=%d-", r.Offset))
	}
	return aws.String(fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1))
}

// answer holds what came against what was asked for.
func answer(out *s3.GetObjectOutput, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	object := bucket.Object{ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified)}
	if encoding := aws.ToString(out.ContentEncoding); encoding != "" && encoding != "identity" {
		return nil, object, &AnswerError{"Content-Encoding", encoding, "none"}
	}
	if object.ETag == "" || r.ETag != "" && r.ETag != object.ETag {
		return nil, object, &AnswerError{"ETag", object.ETag, cmp.Or(r.ETag, "one")}
	}
	length := aws.ToInt64(out.ContentLength)
	if out.ContentLength == nil || length < 0 {
		return nil, object, &AnswerError{"Content-Length", "", "a number of bytes"}
	}
	if err := place(&object, aws.ToString(out.ContentRange), length, r); err != nil {
		return nil, object, err
	}
	return out.Body, object, nil // net/http yields exactly Content-Length bytes, or an error
}

// place checks that the answer is the range, and finds the whole object's size.
func place(object *bucket.Object, contentRange string, length int64, r bucket.Range) error {
	if whole(r) {
		if contentRange != "" {
			return &AnswerError{"Content-Range", contentRange, "the whole object"}
		}
		object.Size = length
		return nil
	}
	first, last, size, ok := parseContentRange(contentRange)
	want := size - 1
	if r.Length > 0 {
		want = min(want, r.Offset+r.Length-1)
	}
	if !ok || first != r.Offset || last != want {
		return &AnswerError{"Content-Range", contentRange, strings.TrimPrefix(aws.ToString(header(r)), "bytes=")}
	}
	if length != last-first+1 {
		return &AnswerError{"Content-Length", strconv.FormatInt(length, 10), strconv.FormatInt(last-first+1, 10)}
	}
	object.Size = size
	return nil
}

// parseContentRange reads "bytes 0-9/10" (RFC 9110, section 14.4). What does
// not hold together, or leaves the size open, is refused.
func parseContentRange(s string) (first, last, size int64, ok bool) {
	s, unit := strings.CutPrefix(s, "bytes ")
	span, total, slash := strings.Cut(s, "/")
	from, to, dash := strings.Cut(span, "-")
	first, ok1 := digits(from)
	last, ok2 := digits(to)
	size, ok3 := digits(total)
	ok = unit && slash && dash && ok1 && ok2 && ok3 && first <= last && last < size
	return first, last, size, ok
}

func digits(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63) // no sign
	return int64(n), err == nil
}
