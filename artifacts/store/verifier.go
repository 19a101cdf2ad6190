package store

import (
	"fmt"
	"sync"

	"koboshi/artifacts"
)

// verifier verifies documents once: a run asks for the same releases many
// times, and bytes with the same SHA-256 verify the same.
type verifier struct {
	trust artifacts.Trust

	mu        sync.Mutex
	manifests map[artifacts.Digest]*artifacts.VerifiedManifest
	pointers  map[artifacts.Digest]*artifacts.VerifiedPointer
}

// manifest verifies the manifest of a release. Errors are
// artifacts.ErrUntrusted and artifacts.ErrTooOld.
func (v *verifier) manifest(envelope []byte, made complete) (*artifacts.VerifiedManifest, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if m := v.manifests[made.ManifestSHA256]; m != nil && m.Manifest().App == made.App && m.Manifest().Version == made.Version {
		return m, nil
	}
	ref := artifacts.Reference{App: made.App, Version: made.Version, ManifestSHA256: made.ManifestSHA256}
	m, err := v.trust.Manifest(envelope, ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", made.Version, err)
	}
	if v.manifests == nil {
		v.manifests = map[artifacts.Digest]*artifacts.VerifiedManifest{}
	}
	v.manifests[made.ManifestSHA256] = m
	return m, nil
}

// pointer verifies the pointer of a channel. Errors are
// artifacts.ErrUntrusted and artifacts.ErrTooOld.
func (v *verifier) pointer(envelope []byte, app, channel string) (*artifacts.VerifiedPointer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	sum := artifacts.Sum(envelope)
	if p := v.pointers[sum]; p != nil && p.Pointer().App == app && p.Pointer().Channel == channel {
		return p, nil
	}
	p, err := v.trust.Pointer(envelope, app, channel)
	if err != nil {
		return nil, err
	}
	if v.pointers == nil {
		v.pointers = map[artifacts.Digest]*artifacts.VerifiedPointer{}
	}
	v.pointers[sum] = p
	return p, nil
}
