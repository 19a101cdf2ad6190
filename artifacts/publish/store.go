package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// storeArtifacts uploads every object of the manifest, or verifies the one that
// is there.
func (d Draft) storeArtifacts(ctx context.Context, b bucket.Bucket, m artifacts.Manifest) error {
	for i, a := range m.Artifacts {
		if err := store(ctx, b, artifacts.Blob{Key: a.Key, Size: a.Size, SHA256: a.SHA256}, d.Packed[i]); err != nil {
			return err
		}
		if a.Index != nil {
			if err := store(ctx, b, *a.Index, bytes.NewReader(d.Packed[i].index)); err != nil {
				return err
			}
		}
		for j, from := range a.Deltas {
			if err := store(ctx, b, artifacts.Blob{Key: from.Key, Size: from.Size, SHA256: from.SHA256}, d.Packed[i].deltas[j].file); err != nil {
				return err
			}
		}
	}
	return nil
}

// store uploads an object, unless it is there. Its name has 12 digits of its
// hash, which is not enough, so one that is there is read back and hashed. That
// is tried first: a store checks a condition only after the whole upload.
func store(ctx context.Context, b bucket.Bucket, blob artifacts.Blob, body io.ReaderAt) error {
	err := verify(ctx, b, blob)
	if !errors.Is(err, bucket.ErrNotFound) {
		return err
	}
	_, err = b.Put(ctx, blob.Key, body, blob.Size, bucket.Condition{Absent: true})
	if errors.Is(err, bucket.ErrExists) {
		return verify(ctx, b, blob)
	}
	return err
}

// rereads is how often in a row a body may break off without a single byte.
const rereads = 4

// verify reads an object back and compares it with what it should be.
func verify(ctx context.Context, b bucket.Bucket, blob artifacts.Blob) error {
	return download(ctx, b, blob, io.Discard)
}

// download writes an object to w. The bytes are verified only when it returns
// without an error. A body that breaks off is resumed, pinned to the same object
// where the store has ETags.
func download(ctx context.Context, b bucket.Bucket, blob artifacts.Blob, w io.Writer) error {
	hash := sha256.New()
	r := bucket.Range{}
	for fruitless := 0; r.Offset < blob.Size; fruitless++ {
		n, broken, etag, err := read(ctx, b, blob, r, io.MultiWriter(hash, w))
		if err == nil {
			break
		}
		if n > 0 {
			fruitless = 0
		}
		if !broken || fruitless == rereads || ctx.Err() != nil {
			return err // the bucket has retried a request that got no answer
		}
		r.Offset, r.ETag = r.Offset+n, etag
	}
	if sum := artifacts.Digest(hash.Sum(nil)); sum != blob.SHA256 {
		return &artifacts.MismatchError{What: blob.Key, GotSize: blob.Size, WantSize: blob.Size, GotSHA256: sum, WantSHA: blob.SHA256}
	}
	return nil
}

// read adds the bytes from r.Offset on to w. broken means that the body broke off,
// and can be asked for again with the ETag of the answer.
func read(ctx context.Context, b bucket.Bucket, blob artifacts.Blob, r bucket.Range, w io.Writer) (n int64, broken bool, etag string, err error) {
	body, object, err := b.Get(ctx, blob.Key, r)
	if err != nil {
		return 0, false, "", err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if object.Size != blob.Size {
		return 0, false, "", &artifacts.MismatchError{What: blob.Key, GotSize: object.Size, WantSize: blob.Size, WantSHA: blob.SHA256}
	}
	n, err = io.CopyN(w, body, blob.Size-r.Offset)
	if err != nil {
		err = fmt.Errorf("read %s: %w", blob.Key, err)
	}
	return n, err != nil, object.ETag, err
}
