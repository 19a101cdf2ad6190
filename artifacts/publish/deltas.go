package publish

import (
	"context"
	"errors"
	"fmt"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/delta"
)

// Base is a release in the bucket that instances may have.
type Base struct {
	Bucket  bucket.Bucket
	App     string
	Version string
	Trust   artifacts.Trust // what must have signed it; zero = a signature of one of Keys
	Keys    []artifacts.PrivateKey
}

// Outcome is the result of making one delta.
type Outcome struct {
	Base, Platform string
	Size           int64  // bytes
	Left           string // why it will not be published; "" = it will
}

// worth is the part of an artifact, in percent, that a delta may be: a delta update
// reads and writes the whole tree as well.
const worth = 50

// AddDeltas makes a delta for each artifact whose platform the base has, too, for
// [Release] to publish. The same artifacts give the same bytes.
//
// A document or an artifact of the base that does not exist is
// bucket.ErrNotFound; one that does not verify is artifacts.ErrUntrusted or
// artifacts.ErrIntegrity.
func AddDeltas(ctx context.Context, from Base, packed []*Packed, opt Options) ([]Outcome, error) {
	var all []Outcome
	manifest, err := from.manifest(ctx)
	for i := 0; i < len(packed) && err == nil; i++ {
		if packed[i].artifact.Image != nil {
			continue // an image is fetched whole
		}
		var one Outcome
		one, err = packed[i].addDelta(ctx, from.Bucket, manifest, opt)
		all = append(all, one)
	}
	if err != nil {
		return nil, fmt.Errorf("delta from %s: %w", from.Version, err)
	}
	return all, nil
}

func (b Base) manifest(ctx context.Context) (m artifacts.Manifest, err error) {
	if b.Trust == (artifacts.Trust{}) {
		if b.Trust, err = trustIn(b.Keys); err != nil {
			return m, err
		}
	}
	verified, err := readManifest(ctx, b.Bucket, b.Trust, b.App, b.Version)
	if err != nil {
		return m, err
	}
	return verified.Manifest(), nil
}

// packedDelta is a delta that can be released.
type packedDelta struct {
	delta artifacts.Delta // without its key
	file  *os.File        // has no name
}

func (p *Packed) addDelta(ctx context.Context, b bucket.Bucket, from artifacts.Manifest, opt Options) (Outcome, error) {
	one := Outcome{Base: from.Version, Platform: p.artifact.OS + "/" + p.artifact.Arch}
	a, err := from.Artifact(p.artifact.OS, p.artifact.Arch)
	if errors.Is(err, artifacts.ErrNoPlatform) {
		one.Left = "it has no such platform"
		return one, nil
	}
	base, err := fetchTree(ctx, b, a, opt.TempDir)
	if err != nil {
		return one, err
	}
	d, err := p.since(ctx, base, opt)
	if err := errors.Join(err, base.Close()); err != nil {
		return one, err
	}
	one.Size = d.delta.Size
	if d.delta.Size > p.artifact.Size*worth/100 {
		one.Left = fmt.Sprintf("it is more than %d %% of the artifact", worth)
		return one, d.file.Close()
	}
	d.delta.Base = from.Version
	p.deltas = append(p.deltas, d)
	return one, nil
}

// fetchTree extracts an artifact of the bucket.
func fetchTree(ctx context.Context, b bucket.Bucket, a artifacts.Artifact, temp string) (*extracted, error) {
	a, err := withChunks(ctx, b, a)
	if err != nil {
		return nil, err
	}
	seal, err := newSealer(temp)
	if err != nil {
		return nil, err
	}
	defer func() { _ = seal.file.Close() }() // it has no name
	if err := download(ctx, b, artifacts.Blob{Key: a.Key, Size: a.Size, SHA256: a.SHA256}, seal.file); err != nil {
		return nil, err
	}
	return extractToTemp(ctx, seal.file, a, temp)
}

// since makes the delta from base to the artifact.
func (p *Packed) since(ctx context.Context, base *extracted, opt Options) (d *packedDelta, err error) {
	if p.extracted == nil {
		if p.extracted, err = extractToTemp(ctx, p.file, p.artifact, opt.TempDir); err != nil {
			return nil, err
		}
	}
	seal, err := newSealer(opt.TempDir)
	if err != nil {
		return nil, err
	}
	if err := delta.Make(ctx, seal, base.Tree, p.extracted.Tree, opt.Progress); err != nil {
		return nil, errors.Join(err, seal.file.Close())
	}
	return &packedDelta{artifacts.Delta{Size: seal.size, SHA256: artifacts.Digest(seal.whole.Sum(nil))}, seal.file}, nil
}
