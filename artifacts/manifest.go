package artifacts

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Manifest describes a release: what is signed when it is published.
type Manifest struct {
	Schema    int        `json:"schema"`
	App       string     `json:"app"`
	Version   string     `json:"version"`
	Created   time.Time  `json:"created"`
	MinAgent  string     `json:"min_agent,omitzero"` // such as "0.1.0"
	Hooks     Hooks      `json:"hooks,omitzero"`
	Health    Health     `json:"health,omitzero"`
	Artifacts []Artifact `json:"artifacts"`
}

// Hooks are commands of the release, each an argument list whose first element
// is a path inside the tree.
type Hooks struct {
	PreStart  []string `json:"pre_start,omitzero"`
	PostStart []string `json:"post_start,omitzero"`
	PreStop   []string `json:"pre_stop,omitzero"`
}

// Health overrides the health section of an agent's configuration, key by key.
type Health struct {
	URL     string   `json:"url,omitzero"`
	Status  Statuses `json:"status,omitzero"` // of a url
	TCP     string   `json:"tcp,omitzero"`
	Command []string `json:"command,omitzero"`
	Timeout Duration `json:"timeout,omitzero"`
	Bake    Duration `json:"bake,omitzero"`
}

// ErrNoPlatform is returned where a release was not published for this machine.
var ErrNoPlatform = errors.New("no artifact for this platform")

// Reference is which manifest is expected: of this app and version, and where a
// pointer points to it, with exactly these bytes.
type Reference struct {
	App, Version   string
	ManifestSHA256 Digest // zero = any bytes that enough trusted keys have signed
}

// VerifiedManifest is a manifest that enough trusted keys have signed and that
// matches its reference.
type VerifiedManifest struct {
	manifest Manifest
	envelope []byte
	sum      Digest
}

// Manifest verifies the bytes of a manifest's envelope against ref. Errors are
// [ErrUntrusted] or [ErrTooOld].
func (t Trust) Manifest(envelope []byte, ref Reference) (*VerifiedManifest, error) {
	sum := Sum(envelope)
	if ref.ManifestSHA256 != (Digest{}) && sum != ref.ManifestSHA256 {
		return nil, untrusted("manifest of %s: got sha256 %s (%d bytes), the pointer has %s", ref.Version, sum, len(envelope), ref.ManifestSHA256)
	}
	payload, err := t.open(envelope, kindManifest, MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	if err := t.checkHeader(payload); err != nil {
		return nil, err
	}
	var m Manifest
	if err := unmarshalStrict(payload, &m); err != nil {
		return nil, untrusted("%w", err)
	}
	if err := m.Validate(); err != nil {
		return nil, untrusted("%w", err)
	}
	if m.App != ref.App || m.Version != ref.Version {
		return nil, untrusted("the manifest is of %s %s, want %s %s", m.App, m.Version, ref.App, ref.Version)
	}
	return &VerifiedManifest{manifest: m, envelope: envelope, sum: sum}, nil
}

// Sign validates the manifest and wraps it in an envelope signed by every key.
func (m Manifest) Sign(keys ...PrivateKey) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return sign(kindManifest, payload, keys...)
}

// Manifest is the document itself.
func (v *VerifiedManifest) Manifest() Manifest { return v.manifest }

// Envelope is the bytes that were verified.
func (v *VerifiedManifest) Envelope() []byte { return v.envelope }

// SHA256 is the digest of the envelope: the identity of a release.
func (v *VerifiedManifest) SHA256() Digest { return v.sum }

// Artifact is the one for a platform, in Go's names ("linux", "arm64"), that is
// unpacked. Where there is none the error is [ErrNoPlatform].
func (m Manifest) Artifact(os, arch string) (Artifact, error) {
	for _, a := range m.Artifacts {
		if a.OS == os && a.Arch == arch && a.Image == nil {
			return a, nil
		}
	}
	if len(m.Images(os, arch)) > 0 {
		return Artifact{}, fmt.Errorf("%s %s: %w that is unpacked (%s/%s), only images", m.App, m.Version, ErrNoPlatform, os, arch)
	}
	return Artifact{}, fmt.Errorf("%s %s: %w (%s/%s)", m.App, m.Version, ErrNoPlatform, os, arch)
}

// Images are the artifacts for a platform that are mounted, the one that its
// publisher prefers first.
func (m Manifest) Images(os, arch string) (images []Artifact) {
	for _, a := range m.Artifacts {
		if a.OS == os && a.Arch == arch && a.Image != nil {
			images = append(images, a)
		}
	}
	return images
}

// Same is the artifact with the bytes of another one, for the same platform.
func (m Manifest) Same(other Artifact) (Artifact, bool) {
	for _, a := range m.Artifacts {
		if a.OS == other.OS && a.Arch == other.Arch && a.SHA256 == other.SHA256 {
			return a, true
		}
	}
	return Artifact{}, false
}
