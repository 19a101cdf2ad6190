package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// anyAgent is the version of an agent for which no release is too new: the
// publisher need not be able to run the release.
const anyAgent = "999999.0.0"

// trustIn trusts the public halves of keys: a signature of one is enough.
func trustIn(keys []artifacts.PrivateKey) (artifacts.Trust, error) {
	public := make([]artifacts.PublicKey, len(keys))
	for i, k := range keys {
		public[i] = k.Public()
	}
	return artifacts.NewTrust(anyAgent, 1, public...)
}

// trust is what promoting needs: manifests of the publishers, or where none are given of
// the keys; pointers of either.
func (p Promotion) trust() (artifacts.Trust, error) {
	own, err := trustIn(p.Keys)
	if err != nil || len(p.Publishers) == 0 {
		return own, err
	}
	trust, err := artifacts.NewTrust(anyAgent, 1, p.Publishers...)
	if err != nil {
		return trust, err
	}
	movers := slices.Clone(p.Publishers)
	for _, k := range p.Keys {
		movers = append(movers, k.Public())
	}
	return trust.WithPromoters(1, movers...)
}

// document is an object as it was read, with what it takes to replace it.
type document struct {
	data []byte
	etag string
}

// readDocument reads a small object whole; bucket.ErrNotFound where there is none.
func readDocument(ctx context.Context, b bucket.Bucket, key string, limit int64) (document, error) {
	data, object, err := bucket.Read(ctx, b, key, limit)
	if errors.Is(err, bucket.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", artifacts.ErrUntrusted, err)
	}
	return document{data: data, etag: object.ETag}, err
}

// writeDocument replaces a document, or makes it where was is nil, if it still
// is what was read; else the error is bucket.ErrChanged or ErrExists. Where the
// reply to our own write was lost, the repeated request conflicts with it: such
// an error counts only if the bytes in the bucket are not ours. A document
// without an ETag is read again just before, which leaves a gap.
func writeDocument(ctx context.Context, b bucket.Bucket, key string, data []byte, was *document) error {
	when := bucket.Condition{Absent: true}
	if was != nil {
		when = bucket.Condition{ETag: was.etag}
	}
	if was != nil && was.etag == "" {
		if is, err := readDocument(ctx, b, key, int64(len(was.data))); err != nil || !bytes.Equal(is.data, was.data) {
			return errors.Join(bucket.ErrChanged, err)
		}
	}
	_, err := b.Put(ctx, key, bytes.NewReader(data), int64(len(data)), when)
	if !lost(err) {
		return err
	}
	if is, readErr := readDocument(ctx, b, key, int64(len(data))); readErr == nil && bytes.Equal(is.data, data) {
		return nil
	}
	return err
}

// lost reports whether another writer was faster.
func lost(err error) bool {
	return errors.Is(err, bucket.ErrChanged) || errors.Is(err, bucket.ErrExists)
}

// readManifest reads the manifest of a release and verifies it.
func readManifest(ctx context.Context, b bucket.Bucket, trust artifacts.Trust, app, version string) (*artifacts.VerifiedManifest, error) {
	key := artifacts.ManifestKey(version)
	d, err := readDocument(ctx, b, key, artifacts.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	manifest, err := trust.Manifest(d.data, artifacts.Reference{App: app, Version: version})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return manifest, nil
}

// readPointer reads the pointer of a channel and verifies it; nil where there is
// none yet.
func readPointer(ctx context.Context, b bucket.Bucket, trust artifacts.Trust, app, channel string) (*artifacts.VerifiedPointer, *document, error) {
	key := artifacts.PointerKey(channel)
	d, err := readDocument(ctx, b, key, artifacts.MaxPointerBytes)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	pointer, err := trust.Pointer(d.data, app, channel)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	return pointer, &d, nil
}
