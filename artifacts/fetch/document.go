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

// Known is a channel's pointer as one of the sources had it. Its ETag there is a
// hint that it need not be read again; "" = there is none. What counts is the
// pointer.
type Known struct {
	Pointer *artifacts.VerifiedPointer // verified under the trust of the origin
	Source  int                        // of [Origin.Sources]
	ETag    string
}

// at is the ETag at a source, "" where that is not known.
func (k Known) at(source int) string {
	if k.Pointer == nil || k.Source != source {
		return ""
	}
	return k.ETag
}

// Pointer reads and verifies the pointer of a channel; where the source has still
// the one that is known, that is returned, for one request without a body. The zero
// Known is none. The caller has to check whether the pointer is recent enough.
//
// Errors are those of a bucket's Get, [ErrTransport], artifacts.ErrUntrusted,
// artifacts.ErrTooOld.
func (o *Origin) Pointer(ctx context.Context, channel string, known Known) (Known, error) {
	key := artifacts.PointerKey(channel)
	if err := errors.Join(artifacts.CheckName(o.app), artifacts.CheckName(channel)); err != nil {
		return Known{}, fmt.Errorf("%s: %w: %w", key, bucket.ErrNotFound, err)
	}
	var p *artifacts.VerifiedPointer
	source, etag, err := o.ask(ctx, key, known, atMost(key, artifacts.MaxPointerBytes), func(envelope []byte) (err error) {
		if p, err = o.trust.Pointer(envelope, o.app, channel); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if errors.Is(err, bucket.ErrUnchanged) {
		o.prefer(source)
		return known, nil
	}
	if err != nil {
		return Known{}, err
	}
	o.prefer(source)
	return Known{p, source, etag}, nil
}

// Manifest reads and verifies the manifest that ref points to. Errors are those
// of [Origin.Pointer].
func (o *Origin) Manifest(ctx context.Context, ref artifacts.Reference) (*artifacts.VerifiedManifest, error) {
	key := artifacts.ManifestKey(ref.Version)
	if err := artifacts.CheckVersion(ref.Version); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, bucket.ErrNotFound, err)
	}
	var m *artifacts.VerifiedManifest
	source, _, err := o.ask(ctx, key, Known{}, atMost(key, artifacts.MaxManifestBytes), func(envelope []byte) (err error) {
		if m, err = o.trust.Manifest(envelope, ref); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.prefer(source)
	return m, nil
}

// Blob reads a whole object and compares it with what was signed for it. All
// of it is held in memory: b.Size, which is signed too, is the bound.
//
// Errors are those of a bucket's Get, [ErrTransport] and artifacts.ErrIntegrity.
func (o *Origin) Blob(ctx context.Context, b artifacts.Blob) (data []byte, err error) {
	_, _, err = o.ask(ctx, b.Key, Known{}, exactly(b.Key, b.Size, b.SHA256), func(read []byte) error {
		data = read
		return artifacts.CheckSum(b.Key, data, b.Size, b.SHA256)
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// read reads a whole object of one source. Its size is known from the first
// answer only, and check has to accept it. An object that is replaced meanwhile
// is read again from its beginning. unless is an ETag for which the error is
// bucket.ErrUnchanged, "" = none.
func (o *Origin) read(ctx context.Context, t try, key, unless string, check func(size int64) error) (data []byte, etag string, err error) {
	for range maxRestarts + 1 {
		c := &cursor{o: newObject([]try{t}, key, minSpare, check, o.jitter)}
		c.o.unless = unless
		if err = c.open(ctx); err == nil {
			etag = c.o.etag(c.from)
			data = make([]byte, c.o.size(c.from))
			err = c.read(ctx, data)
		}
		if err == nil {
			err = c.finish()
		}
		c.close()
		if !errors.Is(err, bucket.ErrChanged) {
			return data, etag, err
		}
	}
	return nil, "", fmt.Errorf("%s: %w: it was replaced %d times while it was read", key, ErrTransport, maxRestarts+1)
}

// atMost is the check for a document. Larger ones are untrusted: no one who can
// sign would have made them.
func atMost(key string, limit int64) func(int64) error {
	return func(size int64) error {
		if size > limit {
			return fmt.Errorf("%s: %w: %d bytes, at most %d are read", key, artifacts.ErrUntrusted, size, limit)
		}
		return nil
	}
}

// exactly is the check for an object of signed size.
func exactly(key string, size int64, sum artifacts.Digest) func(int64) error {
	return func(got int64) error {
		if got != size {
			return &artifacts.MismatchError{What: key, GotSize: got, WantSize: size, WantSHA: sum}
		}
		return nil
	}
}
