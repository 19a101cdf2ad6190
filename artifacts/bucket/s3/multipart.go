package s3

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"koboshi/artifacts/bucket"
)

// S3's limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const (
	partBytes    = 16 << 20 // of one part, more where there would be too many
	maxParts     = 10000
	partsAtATime = 8
	abortTimeout = 30 * time.Second
)

// putParts uploads from body directly: what is in memory is the SDK's own
// buffer of each part under way.
func (b *Bucket) putParts(ctx context.Context, key string, body io.ReaderAt, size int64, when bucket.Condition) (made, error) {
	full := aws.String(b.prefix + key)
	begin := &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: full}
	begin.ServerSideEncryption, begin.SSEKMSKeyId = b.Encryption.headers()
	created, err := b.client.CreateMultipartUpload(ctx, begin)
	if err != nil {
		return made{}, err
	}
	upload := upload{bucket: b, key: key, id: created.UploadId, body: body, size: size, meter: b.meter(key, size)}
	parts, err := upload.send(ctx)
	if err != nil {
		return made{}, errors.Join(err, upload.abort(ctx))
	}
	in := &s3.CompleteMultipartUploadInput{Bucket: &b.name, Key: full, UploadId: upload.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
	in.IfNoneMatch, in.IfMatch = headers(when)
	out, err := b.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return made{}, errors.Join(err, upload.abort(ctx))
	}
	return made{out.ETag, out.ResultMetadata}, nil
}

type upload struct {
	bucket *Bucket
	key    string
	id     *string
	body   io.ReaderAt
	size   int64
	meter  *meter
}

func (u *upload) send(ctx context.Context) ([]types.CompletedPart, error) {
	each := partSize(u.size)
	parts := make([]types.CompletedPart, (u.size+each-1)/each)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partsAtATime)
	for i := range parts {
		group.Go(func() (err error) {
			offset := int64(i) * each
			parts[i], err = u.part(ctx, int32(i+1), offset, min(each, u.size-offset))
			return err
		})
	}
	return parts, group.Wait()
}

func (u *upload) part(ctx context.Context, number int32, offset, length int64) (types.CompletedPart, error) {
	out, err := u.bucket.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.bucket.name, Key: aws.String(u.bucket.prefix + u.key), UploadId: u.id, PartNumber: &number,
		Body: io.NewSectionReader(u.body, offset, length), ContentLength: &length,
	}, u.meter.request(length))
	if err != nil {
		return types.CompletedPart{}, err
	}
	// The checksums of the parts are what the SDK chose to send; completing has to repeat them.
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256}, nil
}

// abort frees the parts, which cost money for as long as they lie there. It
// outlives the context, whose end may be why the upload failed. An upload that
// is gone is what was wanted.
func (u *upload) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, err := u.bucket.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.bucket.name, Key: aws.String(u.bucket.prefix + u.key), UploadId: u.id})
	var gone *types.NoSuchUpload
	if errors.As(err, &gone) {
		return nil
	}
	return err
}

// partSize is whole MiB.
func partSize(size int64) int64 {
	const mib = 1 << 20
	each := (size + maxParts - 1) / maxParts
	return max(partBytes, (each+mib-1)/mib*mib)
}
