package fetch

import (
	"context"
	"errors"
	"fmt"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// maxRestarts is how often a document is read again from its beginning because
// it was replaced while it was being read, as a promotion does to a pointer.
const maxRestarts = 3

// Pointer reads and verifies the pointer of a channel. Whether it is recent
// enough is the caller's question.
//
// Errors are those of a bucket's Get, [ErrTransport],
// artifacts.ErrUntrusted, artifacts.ErrTooOld.
func (o *Origin) Pointer(ctx context.Context, channel string) (p *artifacts.VerifiedPointer, err error) {
	key := artifacts.PointerKey(channel)
	if err := errors.Join(artifacts.CheckName(o.app), artifacts.CheckName(channel)); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, bucket.ErrNotFound, err)
	}
	err = o.askDocument(ctx, func(t try) error {
		envelope, err := o.document(ctx, t, key, artifacts.MaxPointerBytes)
		if err != nil {
			return err
		}
		if p, err = o.trust.Pointer(envelope, o.app, channel); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	return p, err
}

// Manifest reads and verifies the manifest that ref points to. Errors are those
// of [Origin.Pointer].
func (o *Origin) Manifest(ctx context.Context, ref artifacts.Reference) (m *artifacts.VerifiedManifest, err error) {
	key := artifacts.ManifestKey(ref.Version)
	if err := artifacts.CheckVersion(ref.Version); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, bucket.ErrNotFound, err)
	}
	err = o.askDocument(ctx, func(t try) error {
		envelope, err := o.document(ctx, t, key, artifacts.MaxManifestBytes)
		if err != nil {
			return err
		}
		if m, err = o.trust.Manifest(envelope, ref); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	return m, err
}

// Blob reads a whole object and compares it with what was signed for it. All
// of it is held in memory: b.Size, which is signed too, is the bound.
//
// Errors are those of a bucket's Get, [ErrTransport] and
// artifacts.ErrIntegrity.
func (o *Origin) Blob(ctx context.Context, b artifacts.Blob) (data []byte, err error) {
	_, err = o.ask(ctx, func(t try) error {
		if data, err = o.read(ctx, t, b.Key, exactly(b.Key, b.Size, b.SHA256)); err != nil {
			return err
		}
		return artifacts.CheckSum(b.Key, data, b.Size, b.SHA256)
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// document reads at most limit bytes. Larger ones are untrusted: no one who can
// sign would have made them.
func (o *Origin) document(ctx context.Context, t try, key string, limit int64) ([]byte, error) {
	check := func(size int64) error {
		if size > limit {
			return fmt.Errorf("%s: %w: %d bytes, at most %d are read", key, artifacts.ErrUntrusted, size, limit)
		}
		return nil
	}
	data, err := o.read(ctx, t, key, check)
	for n := 0; n < maxRestarts && errors.Is(err, bucket.ErrChanged); n++ {
		data, err = o.read(ctx, t, key, check)
	}
	if errors.Is(err, bucket.ErrChanged) {
		return nil, fmt.Errorf("%s: %w: it was replaced %d times while it was read", key, ErrTransport, maxRestarts+1)
	}
	return data, err
}

// read reads a whole object of a size that only its first answer has, and that
// check has accepted.
func (o *Origin) read(ctx context.Context, t try, key string, check func(size int64) error) ([]byte, error) {
	c := &cursor{o: newObject([]try{t}, key, minSpare, check, o.jitter)}
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
