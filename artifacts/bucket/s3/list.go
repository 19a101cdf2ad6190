package s3

import (
	"context"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"koboshi/artifacts"
)

// List yields every object whose key begins with prefix, in byte order, a page
// of 1,000 at a time. After an error it ends.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[artifacts.Object, error] {
	return func(yield func(artifacts.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.prefix + prefix)}
		pages := s3.NewListObjectsV2Paginator(b.client, in, func(o *s3.ListObjectsV2PaginatorOptions) {
			o.StopOnDuplicateToken = true // a server that repeats itself must not keep us for ever
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(artifacts.Object{}, b.failed("list", prefix, artifacts.Condition{}, err))
				return
			}
			if !b.yieldPage(page, prefix, yield) {
				return
			}
		}
	}
}

func (b *Bucket) yieldPage(page *s3.ListObjectsV2Output, prefix string, yield func(artifacts.Object, error) bool) bool {
	if page.Name == nil { // the SDK reads any other document as an empty list
		yield(artifacts.Object{}, b.failed("list", prefix, artifacts.Condition{}, &AnswerError{"list", "", "a ListBucketResult"}))
		return false
	}
	for _, found := range page.Contents {
		full := aws.ToString(found.Key)
		if !strings.HasPrefix(full, b.prefix+prefix) {
			err := &AnswerError{"key", full, b.prefix + prefix + "…"}
			yield(artifacts.Object{}, b.failed("list", prefix, artifacts.Condition{}, err))
			return false
		}
		object := artifacts.Object{Key: strings.TrimPrefix(full, b.prefix), Size: aws.ToInt64(found.Size),
			ETag: aws.ToString(found.ETag), Modified: aws.ToTime(found.LastModified)}
		if !yield(object, nil) {
			return false
		}
	}
	return true
}
