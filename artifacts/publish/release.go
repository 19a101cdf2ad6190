package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/retire"
)

// Draft is what is to become a release.
type Draft struct {
	App, Version string
	Created      time.Time
	MinAgent     string // "" = any
	Hooks        artifacts.Hooks
	Health       artifacts.Health
	Packed       []*Packed // one for each platform, and images of it: the one that instances should prefer first
	Keys         []artifacts.PrivateKey

	// ChunkLists puts the chunks of the artifacts in objects of their own. That is done
	// anyway where the manifest would be too long to be read, or for one of the keys.
	ChunkLists bool
}

// Released is a release that is complete in the bucket.
type Released struct {
	Manifest artifacts.Manifest // as it is in the bucket
	SHA256   artifacts.Digest   // of the manifest's envelope
	Already  bool               // it had been published before, with the same bytes
}

// Release stores the artifacts, then the manifest. A version that is there
// already with the same bytes is a success and stays as it is, with the time and
// the signatures it had; with anything else it is a [*ConflictError]. What a
// release that died half-way has left is hashed again and used.
//
// A manifest that is there, but not signed by one of the keys, is
// artifacts.ErrUntrusted. An object that is there with other bytes is
// artifacts.ErrIntegrity. A hook that cannot be run is [ErrCommand], and nothing
// is stored. A version that is marked for removal or was removed is retire.ErrRetired,
// whatever its bytes.
func Release(ctx context.Context, b bucket.Bucket, d Draft) (Released, error) {
	released, err := d.release(ctx, b)
	if err != nil {
		return Released{}, fmt.Errorf("release %s %s: %w", d.App, d.Version, err)
	}
	return released, nil
}

func (d Draft) release(ctx context.Context, b bucket.Bucket) (Released, error) {
	trust, err := trustIn(d.Keys)
	if err != nil {
		return Released{}, err
	}
	if err := d.checkCommands(ctx); err != nil {
		return Released{}, err
	}
	manifest, envelope, err := d.sign()
	if !d.ChunkLists && (errors.Is(err, artifacts.ErrTooLong) || errors.Is(err, errLong)) {
		d.ChunkLists = true
		manifest, envelope, err = d.sign()
	}
	if err != nil {
		return Released{}, err
	}
	if _, err := retire.Ask(ctx, b, d.App, d.Version); err != nil {
		return Released{}, err
	}
	before, err := d.before(ctx, b, trust, manifest)
	if err != nil {
		return Released{}, err
	}
	if err := d.storeArtifacts(ctx, b, manifest); err != nil {
		return Released{}, err
	}
	if before == nil {
		err := d.storeManifest(ctx, b, envelope)
		if !errors.Is(err, bucket.ErrExists) {
			return Released{manifest, artifacts.Sum(envelope), false}, err
		}
		// Another publisher was faster: its release counts.
		if before, err = d.before(ctx, b, trust, manifest); err != nil || before == nil {
			return Released{}, errors.Join(bucket.ErrExists, err)
		}
	}
	return Released{before.Manifest(), before.SHA256(), true}, nil
}

// storeManifest asks once more, since an upload may take hours.
func (d Draft) storeManifest(ctx context.Context, b bucket.Bucket, envelope []byte) error {
	permit, err := retire.Ask(ctx, b, d.App, d.Version)
	if err != nil {
		return err
	}
	return permit.Use(ctx, func(ctx context.Context) error {
		return writeDocument(ctx, b, artifacts.ManifestKey(d.Version), envelope, nil)
	})
}

// errLong is a manifest that no agent reads.
var errLong = errors.New("the manifest is too long")

// sign makes the manifest, and its envelope.
func (d Draft) sign() (artifacts.Manifest, []byte, error) {
	manifest, err := d.manifest()
	if err != nil {
		return manifest, nil, err
	}
	envelope, err := manifest.Sign(d.Keys...)
	if err == nil && len(envelope) > artifacts.MaxManifestBytes {
		err = fmt.Errorf("%w: %d bytes, at most %d are read", errLong, len(envelope), artifacts.MaxManifestBytes)
	}
	return manifest, envelope, err
}

// before is the manifest of an earlier, equal release, nil where there is none.
// It is looked for first: a conflict must not upload anything.
func (d Draft) before(ctx context.Context, b bucket.Bucket, trust artifacts.Trust, want artifacts.Manifest) (*artifacts.VerifiedManifest, error) {
	have, err := readManifest(ctx, b, trust, d.App, d.Version)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := compare(have.Manifest(), want); err != nil {
		return nil, err
	}
	return have, nil
}

// needs is the oldest agent that knows what the release asks for. An older one
// would take a member that it does not know for a forgery.
func (d Draft) needs() string {
	images := slices.ContainsFunc(d.Packed, func(p *Packed) bool { return p.artifact.Image != nil })
	times := slices.ContainsFunc(d.Packed, func(p *Packed) bool { return p.artifact.KeepTimes })
	switch {
	case images:
		return artifacts.ImageAgent // which reads chunk lists, too
	case d.ChunkLists:
		return artifacts.ChunkListAgent
	case times || d.Health.Status != "":
		return "0.1.0"
	}
	return ""
}

func (d Draft) manifest() (m artifacts.Manifest, err error) {
	m = artifacts.Manifest{Schema: artifacts.Schema, App: d.App, Version: d.Version, Created: d.Created.UTC().Truncate(time.Second),
		MinAgent: artifacts.NewerAgent(d.MinAgent, d.needs()), Hooks: d.Hooks, Health: d.Health}
	for _, p := range d.Packed {
		a := p.artifact
		a.Key = artifacts.ArtifactKey(d.App, d.Version, a.OS, a.Arch, a.SHA256, a.Format)
		if p.index != nil {
			sum := artifacts.Sum(p.index)
			key := artifacts.IndexKey(d.App, d.Version, a.OS, a.Arch, sum)
			a.Index = &artifacts.Blob{Key: key, Size: int64(len(p.index)), SHA256: sum}
		}
		for _, from := range p.deltas {
			from.delta.Key = artifacts.DeltaKey(d.App, d.Version, a.OS, a.Arch, from.delta.Base, from.delta.SHA256)
			a.Deltas = append(a.Deltas, from.delta)
		}
		if d.ChunkLists {
			if a, _, err = a.Listed(d.App, d.Version); err != nil {
				return m, err
			}
		}
		m.Artifacts = append(m.Artifacts, a)
	}
	return m, nil
}
