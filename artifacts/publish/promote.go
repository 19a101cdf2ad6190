package publish

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/retire"
)

// Promotion moves a channel to a release that is in the bucket.
type Promotion struct {
	App, Channel, Version string
	Keys                  []artifacts.PrivateKey
	Trust                 artifacts.Trust // what manifest and old pointer must have; zero = a signature of one of Keys
	Expires               time.Duration   // after Now; 0 = never
	Spread                time.Duration   // whole seconds
	Now                   time.Time
}

// Promoted is a channel that was moved.
type Promoted struct {
	Pointer    artifacts.Pointer
	Previous   *artifacts.Pointer // nil where the channel is new
	Conditions Conditions         // what the store makes of compare-and-swap
}

// rounds is how many other promotions may be faster before this one fails.
const rounds = 64

// Promote writes the channel's pointer by compare-and-swap, with sequence
// max(previous + 1, Now in Unix seconds). Promoting the version that the
// channel points to already signs it again.
//
// Of several promotions at the same time each one is in the channel's history, or
// fails: a promotion that finds the channel moved to a version that is neither
// the one it saw first nor its own fails with [*MovedError]; else it tries again.
// The store has to honour the conditions of writes for that: the store is probed,
// and the pointer is read back.
// A channel that has no higher sequence is [ErrUsedUp].
//
// A manifest or an old pointer that does not verify under Trust is
// artifacts.ErrUntrusted: nothing of it counts, least of all its sequence. A
// release that does not exist is bucket.ErrNotFound, and one whose artifacts
// are missing or have another size is refused too, and one that is marked for removal is
// retire.ErrRetired. A promotion that has lasted an hour is retire.ErrTooLong.
func Promote(ctx context.Context, b bucket.Bucket, p Promotion) (Promoted, error) {
	promoted, err := p.promote(ctx, b)
	if err != nil {
		return Promoted{}, fmt.Errorf("promote %s %s to %s: %w", p.App, p.Version, p.Channel, err)
	}
	return promoted, nil
}

func (p Promotion) promote(ctx context.Context, b bucket.Bucket) (Promoted, error) {
	if err := errors.Join(artifacts.CheckName(p.App), artifacts.CheckName(p.Channel), artifacts.CheckVersion(p.Version)); err != nil {
		return Promoted{}, err
	}
	if p.Trust == (artifacts.Trust{}) {
		var err error
		if p.Trust, err = trustIn(p.Keys); err != nil {
			return Promoted{}, err
		}
	}
	conditions, err := bucket.ProbeConditions(ctx, b, channelsPrefix)
	if err != nil {
		return Promoted{}, err
	}
	var first *artifacts.VerifiedPointer
	for round := range rounds {
		previous, was, err := readPointer(ctx, b, p.Trust, p.App, p.Channel)
		if err != nil {
			return Promoted{}, err
		}
		if round == 0 {
			first = previous
		} else if err := p.moved(first, previous); err != nil {
			return Promoted{}, err
		}
		promoted, err := p.swap(ctx, b, previous, was, conditions)
		if !lost(err) {
			return promoted, err
		}
	}
	return Promoted{}, fmt.Errorf("the channel was changed by others %d times in a row: %w", rounds, bucket.ErrChanged)
}

// swap is one round. A pointer binds the manifest's bytes, to which a signature
// may have been added since they were read; [AddSignature] checks the converse.
func (p Promotion) swap(ctx context.Context, b bucket.Bucket, previous *artifacts.VerifiedPointer, was *document, conditions Conditions) (Promoted, error) {
	permit, err := retire.Ask(ctx, b, p.App, p.Version)
	if err != nil {
		return Promoted{}, err
	}
	manifest, err := p.release(ctx, b)
	if err != nil {
		return Promoted{}, err
	}
	pointer, err := p.pointer(manifest, previous)
	if err != nil {
		return Promoted{}, err
	}
	envelope, err := pointer.Sign(p.Keys...)
	if err != nil {
		return Promoted{}, err
	}
	if was != nil && was.etag == "" {
		conditions = NoETag
	}
	err = permit.Use(ctx, func(ctx context.Context) error {
		return writeDocument(ctx, b, artifacts.PointerKey(p.Channel), envelope, was)
	})
	if err != nil {
		return Promoted{}, err
	}
	if err := p.readBack(ctx, b, envelope, pointer.Sequence, conditions); err != nil {
		return Promoted{}, err
	}
	again, err := readManifest(ctx, b, p.Trust, p.App, p.Version)
	if err != nil {
		return Promoted{}, err
	}
	if again.SHA256() != manifest.SHA256() {
		return Promoted{}, fmt.Errorf("%s: %w", artifacts.ManifestKey(p.Version), bucket.ErrChanged)
	}
	return Promoted{pointer, contentOf(previous), conditions}, nil
}

// release is the manifest, once every object that it names was found.
func (p Promotion) release(ctx context.Context, b bucket.Bucket) (*artifacts.VerifiedManifest, error) {
	manifest, err := readManifest(ctx, b, p.Trust, p.App, p.Version)
	if err != nil {
		return nil, err
	}
	for _, a := range manifest.Manifest().Artifacts {
		for _, blob := range a.Blobs() {
			if err := exists(ctx, b, blob); err != nil {
				return nil, err
			}
		}
	}
	return manifest, nil
}

func exists(ctx context.Context, b bucket.Bucket, blob artifacts.Blob) error {
	body, object, err := b.Get(ctx, blob.Key, bucket.Range{Length: 1})
	if err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return fmt.Errorf("read %s: %w", blob.Key, err)
	}
	if object.Size != blob.Size {
		return &artifacts.MismatchError{What: blob.Key, GotSize: object.Size, WantSize: blob.Size, WantSHA: blob.SHA256}
	}
	return nil
}

// ErrUsedUp is a channel whose pointer has the highest sequence that there is: no
// other pointer can follow it.
var ErrUsedUp = errors.New("the channel cannot be moved any more")

func (p Promotion) pointer(manifest *artifacts.VerifiedManifest, previous *artifacts.VerifiedPointer) (artifacts.Pointer, error) {
	now := p.Now.UTC().Truncate(time.Second)
	pointer := artifacts.Pointer{Schema: artifacts.Schema, App: p.App, Channel: p.Channel, Sequence: now.Unix(), Version: p.Version,
		ManifestSHA256: manifest.SHA256(), Issued: now, SpreadSeconds: int64(p.Spread / time.Second)}
	if p.Expires != 0 {
		pointer.Expires = now.Add(p.Expires).Truncate(time.Second)
	}
	if previous != nil {
		last := previous.Sequence().Number
		if last == math.MaxInt64 {
			return artifacts.Pointer{}, fmt.Errorf("%w: its pointer has sequence %d", ErrUsedUp, last)
		}
		pointer.Sequence = max(pointer.Sequence, last+1)
	}
	return pointer, nil
}

// moved reports whether the channel points to a version that is neither the one
// this promotion saw first nor its own.
func (p Promotion) moved(first, now *artifacts.VerifiedPointer) error {
	if now == nil { // deleted meanwhile: there is nothing that could be lost
		return nil
	}
	is := now.Pointer()
	if is.Version == p.Version || first != nil && is.Version == first.Pointer().Version {
		return nil
	}
	return &MovedError{Channel: p.Channel, Version: is.Version, Sequence: is.Sequence}
}

func contentOf(v *artifacts.VerifiedPointer) *artifacts.Pointer {
	if v == nil {
		return nil
	}
	p := v.Pointer()
	return &p
}
