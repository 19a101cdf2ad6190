package s3

import (
	"context"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"koboshi/artifacts/bucket"
)

// List implements [bucket.Bucket], a page of 1,000 at a time. Keys are asked for
// encoded: one with a control character would make every page with it unreadable.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.prefix + prefix), EncodingType: types.EncodingTypeUrl}
		pages := s3.NewListObjectsV2Paginator(b.client, in, func(o *s3.ListObjectsV2PaginatorOptions) {
			o.StopOnDuplicateToken = true // a server that repeats itself must not keep us for ever
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(bucket.Object{}, b.failed("list", prefix, bucket.Condition{}, err))
				return
			}
			if !b.yieldPage(page, prefix, yield) {
				return
			}
		}
	}
}

func (b *Bucket) yieldPage(page *s3.ListObjectsV2Output, prefix string, yield func(bucket.Object, error) bool) bool {
	if page.Name == nil { // the SDK reads any other document as an empty list
		yield(bucket.Object{}, b.failed("list", prefix, bucket.Condition{}, &bucket.AnswerError{What: "list", Want: "a ListBucketResult"}))
		return false
	}
	for _, found := range page.Contents {
		full, err := decodeKey(aws.ToString(found.Key), page.EncodingType)
		if err != nil || !strings.HasPrefix(full, b.prefix+prefix) {
			err := &bucket.AnswerError{What: "key", Got: full, Want: b.prefix + prefix + "…"}
			yield(bucket.Object{}, b.failed("list", prefix, bucket.Condition{}, err))
			return false
		}
		object := bucket.Object{Key: strings.TrimPrefix(full, b.prefix), Size: aws.ToInt64(found.Size),
			ETag: aws.ToString(found.ETag), Modified: aws.ToTime(found.LastModified), Date: date(page.ResultMetadata)}
		if !yield(object, nil) {
			return false
		}
	}
	return true
}

// decodeKey decodes a key by the encoding in the page: a store may not support the
// encoding that was requested.
func decodeKey(key string, encoding types.EncodingType) (string, error) {
	if encoding != types.EncodingTypeUrl {
		return key, nil
	}
	return url.QueryUnescape(key)
}
