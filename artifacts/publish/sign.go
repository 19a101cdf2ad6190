package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// Signing adds signatures to one document, or takes one out: the pointer of Channel, or
// where that is empty the manifest of Version.
type Signing struct {
	App, Channel, Version string
	Keys                  []artifacts.PrivateKey
	// Trust must verify the document as it is, say by the signature of the
	// colleague who made it: write access to the bucket must not be enough to
	// get a signature.
	Trust artifacts.Trust

	Remove string                // the id of a key whose signature is taken out; "" = none
	Known  []artifacts.PublicKey // of Trust, to find signatures without an id
}

// ErrLast is a document that would have no signature of a trusted key, or of those that
// sign it now.
var ErrLast = errors.New("no trusted signature would be left")

// ErrOwn is a key that is to be removed, and to sign.
var ErrOwn = errors.New("the key to remove is one that signs")

// Signed is a document with the signatures that were asked for.
type Signed struct {
	Pointer  *artifacts.Pointer  // one of the two is what was signed
	Manifest *artifacts.Manifest //
	Already  bool                // nothing had to be added or removed

	Conditions Conditions // what the store makes of compare-and-swap; "" where nothing was written
}

// BoundError is a manifest that must keep its bytes, signatures included, because
// channels point to it. Sign it before it is promoted.
type BoundError struct {
	Version  string
	Channels []string
}

func (e *BoundError) Error() string {
	return fmt.Sprintf("the manifest of %s is bound by channel %s: other signatures would change its hash", e.Version, strings.Join(e.Channels, ", "))
}

// AddSignature adds a signature of each key that has not signed yet, by
// compare-and-swap: with bucket.ErrChanged the document has changed meanwhile, and
// nothing was signed. A signature of Remove is taken out in the same write, where
// another one is left: else the error is [ErrLast]. A pointer keeps its position in the
// channel's history. A manifest that a channel points to is a [*BoundError].
func AddSignature(ctx context.Context, b bucket.Bucket, s Signing) (Signed, error) {
	sign, what := s.manifest, s.Version
	if s.Channel != "" {
		sign, what = s.pointer, "channel "+s.Channel
	}
	signed, err := sign(ctx, b)
	if err != nil {
		return Signed{}, fmt.Errorf("sign %s of %s: %w", what, s.App, err)
	}
	return signed, nil
}

func (s Signing) pointer(ctx context.Context, b bucket.Bucket) (Signed, error) {
	if err := artifacts.CheckName(s.Channel); err != nil {
		return Signed{}, err
	}
	pointer, was, err := readPointer(ctx, b, s.Trust, s.App, s.Channel)
	if err != nil {
		return Signed{}, err
	}
	if pointer == nil {
		return Signed{}, bucket.ErrNotFound
	}
	verify := func(t artifacts.Trust, data []byte) error {
		_, err := t.Pointer(data, s.App, s.Channel)
		return err
	}
	signed, err := s.add(was.data, artifacts.MaxPointerBytes, verify)
	result := Signed{Pointer: contentOf(pointer), Already: signed == nil}
	if err != nil || result.Already {
		return result, err
	}
	if result.Conditions, err = was.probe(ctx, b, channelsPrefix); err != nil {
		return result, err
	}
	key := artifacts.PointerKey(s.Channel)
	if err := writeDocument(ctx, b, key, signed, was); err != nil {
		return result, err
	}
	return result, s.readBack(ctx, b, key, artifacts.MaxPointerBytes, verify)
}

func (s Signing) manifest(ctx context.Context, b bucket.Bucket) (Signed, error) {
	if err := artifacts.CheckVersion(s.Version); err != nil {
		return Signed{}, err
	}
	key, ref := artifacts.ManifestKey(s.Version), artifacts.Reference{App: s.App, Version: s.Version}
	was, err := readDocument(ctx, b, key, artifacts.MaxManifestBytes)
	if err != nil {
		return Signed{}, err
	}
	manifest, err := s.Trust.Manifest(was.data, ref)
	if err != nil {
		return Signed{}, err
	}
	verify := func(t artifacts.Trust, data []byte) error {
		_, err := t.Manifest(data, ref)
		return err
	}
	signed, err := s.add(was.data, artifacts.MaxManifestBytes, verify)
	content := manifest.Manifest()
	result := Signed{Manifest: &content, Already: signed == nil}
	if err != nil || result.Already {
		return result, err
	}
	if err := s.unbound(ctx, b, manifest.SHA256()); err != nil {
		return Signed{}, err
	}
	if result.Conditions, err = was.probe(ctx, b, releasesPrefix+s.Version+"/"); err != nil {
		return Signed{}, err
	}
	if err := writeDocument(ctx, b, key, signed, &was); err != nil {
		return Signed{}, err
	}
	if err := s.readBack(ctx, b, key, artifacts.MaxManifestBytes, verify); err != nil {
		return Signed{}, err
	}
	return result, s.unbound(ctx, b, manifest.SHA256()) // a promotion may have read the old bytes before
}

// add is the document with the missing signatures, and without that of Remove, nil where
// nothing changes.
func (s Signing) add(data []byte, limit int, verify func(artifacts.Trust, []byte) error) ([]byte, error) {
	missing, err := s.missing(data, verify)
	if err != nil {
		return nil, err
	}
	rest, removed, err := s.remove(data)
	if err != nil || len(missing)+removed == 0 {
		return nil, err
	}
	signed, err := artifacts.AddSignature(rest, missing...)
	if err != nil {
		return nil, err
	}
	if own, err := trustIn(s.Keys); removed > 0 && verify(s.Trust, signed) != nil && (err != nil || verify(own, signed) != nil) {
		return nil, ErrLast
	}
	if len(signed) > limit {
		return nil, fmt.Errorf("would have %d bytes, at most %d are read", len(signed), limit)
	}
	return signed, nil
}

// remove is the document without the signatures of Remove, and how many there were.
func (s Signing) remove(data []byte) ([]byte, int, error) {
	if s.Remove == "" {
		return data, 0, nil
	}
	for _, k := range s.Keys {
		if k.Public().ID() == s.Remove {
			return nil, 0, ErrOwn
		}
	}
	return artifacts.RemoveSignature(data, s.Remove, s.Known...)
}

// missing is the keys that have not signed. Whether a key has is decided by its
// signature, not by its name.
func (s Signing) missing(data []byte, verify func(artifacts.Trust, []byte) error) (missing []artifacts.PrivateKey, err error) {
	if len(s.Keys) == 0 && s.Remove == "" {
		return nil, errors.New("no key to sign with")
	}
	for _, k := range s.Keys {
		if trust, err := trustIn([]artifacts.PrivateKey{k}); err != nil || verify(trust, data) != nil {
			missing = append(missing, k)
		}
	}
	return missing, nil
}

// unbound makes sure that no channel points to the manifest with these bytes.
// Pointers are not verified: a false one costs no more than this error.
func (s Signing) unbound(ctx context.Context, b bucket.Bucket, sum artifacts.Digest) error {
	channels, err := listChannels(ctx, b, s.App, artifacts.Trust{})
	if err != nil {
		return err
	}
	all, share := naming(channels, s.Version, sum)
	if names := append(all, share...); len(names) > 0 {
		return &BoundError{Version: s.Version, Channels: names}
	}
	return nil
}
