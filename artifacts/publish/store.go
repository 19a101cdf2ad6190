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
		bodies, err := d.bodies(d.Packed[i], a)
		if err != nil {
			return err
		}
		for j, blob := range a.Blobs() {
			if err := store(ctx, b, blob, bodies[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// bodies are the bytes of an artifact's objects, in their order.
func (d Draft) bodies(p *Packed, a artifacts.Artifact) ([]io.ReaderAt, error) {
	bodies := []io.ReaderAt{p}
	if a.Index != nil {
		bodies = append(bodies, bytes.NewReader(p.index))
	}
	if a.ChunkList != nil {
		_, list, err := p.artifact.Listed(d.App, d.Version)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, bytes.NewReader(list))
	}
	for i := range a.Deltas {
		bodies = append(bodies, p.deltas[i].file)
	}
	return bodies, nil
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

// withChunks is an artifact of the bucket with the chunks of its list, if it has one.
func withChunks(ctx context.Context, b bucket.Bucket, a artifacts.Artifact) (artifacts.Artifact, error) {
	if !a.WantsChunks() {
		return a, nil
	}
	var list bytes.Buffer
	if err := download(ctx, b, *a.ChunkList, &list); err != nil {
		return a, err
	}
	return a.WithChunks(list.Bytes())
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
