package fetch

import (
	"context"
	"errors"
	"fmt"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// maxRestarts is how often a document is read anew because it was replaced
// while it was being read, which a promotion may well do to a pointer.
const maxRestarts = 3

// Pointer reads and verifies the pointer of an app's channel. Whether it is
// recent enough is the caller's question.
//
// Errors are [*ResolveError], artifacts.ErrUntrusted, artifacts.ErrTooOld.
func Pointer(ctx context.Context, src bucket.Reader, trust artifacts.Trust, app, channel string) (*artifacts.VerifiedPointer, error) {
	key := artifacts.PointerKey(channel)
	if err := errors.Join(artifacts.CheckName(app), artifacts.CheckName(channel)); err != nil {
		return nil, &ResolveError{Key: key, Err: err}
	}
	envelope, err := document(ctx, src, key, artifacts.MaxPointerBytes)
	if err != nil {
		return nil, err
	}
	pointer, err := trust.Pointer(envelope, app, channel)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return pointer, nil
}

// Manifest reads and verifies the manifest that ref names.
//
// Errors are [*ResolveError], artifacts.ErrUntrusted, artifacts.ErrTooOld.
func Manifest(ctx context.Context, src bucket.Reader, trust artifacts.Trust, ref artifacts.Reference) (*artifacts.VerifiedManifest, error) {
	key := artifacts.ManifestKey(ref.Version)
	if err := artifacts.CheckVersion(ref.Version); err != nil {
		return nil, &ResolveError{Key: key, Err: err}
	}
	envelope, err := document(ctx, src, key, artifacts.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	manifest, err := trust.Manifest(envelope, ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return manifest, nil
}

// Blob reads a whole object and compares it with what was signed for it. All
// of it is held in memory: b.Size, which is signed too, is the bound.
//
// Errors are [ErrTransport] and artifacts.ErrIntegrity.
func Blob(ctx context.Context, src bucket.Reader, b artifacts.Blob) ([]byte, error) {
	data, err := whole(ctx, src, b.Key, exactly(b.Key, b.Size, b.SHA256))
	if err != nil {
		return nil, err
	}
	if err := artifacts.CheckSum(b.Key, data, b.Size, b.SHA256); err != nil {
		return nil, err
	}
	return data, nil
}

// document reads at most limit bytes. Larger ones are untrusted: nobody who
// could sign would have made them.
func document(ctx context.Context, src bucket.Reader, key string, limit int64) ([]byte, error) {
	check := func(size int64) error {
		if size > limit {
			return fmt.Errorf("%s: %w: %d bytes, at most %d are read", key, artifacts.ErrUntrusted, size, limit)
		}
		return nil
	}
	data, err := whole(ctx, src, key, check)
	for n := 0; n < maxRestarts && errors.Is(err, bucket.ErrChanged); n++ {
		data, err = whole(ctx, src, key, check)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, artifacts.ErrUntrusted) {
		return data, err
	}
	return nil, &ResolveError{Key: key, Err: err}
}

// whole reads an object of a size that only its first answer tells, and that
// check has accepted.
func whole(ctx context.Context, src bucket.Reader, key string, check func(size int64) error) ([]byte, error) {
	c := &cursor{o: newObject([]bucket.Reader{src}, key, minSpare, check)}
	defer c.close()
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	data := make([]byte, c.o.size(c.from))
	if err := c.read(ctx, data); err != nil {
		return nil, err
	}
	return data, c.finish()
}

// exactly is the check for an object whose size was signed.
func exactly(key string, size int64, sum artifacts.Digest) func(int64) error {
	return func(got int64) error {
		if got != size {
			return &artifacts.MismatchError{What: key, GotSize: got, WantSize: size, WantSHA: sum}
		}
		return nil
	}
}
