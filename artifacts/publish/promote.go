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

// Promotion moves a channel to a release that is in the bucket, for all instances or
// for a share of them.
//
// While a release is rolled out, Version may be that release, which ends the rollout,
// or the one that the channel points to, which signs the pointer again as it is.
// Anything else, and a lower percentage, is a [*RolloutError] without Force.
type Promotion struct {
	App, Channel, Version string
	Percent               int    // 1 to 99 rolls Version out to a share of the instances; 0 or 100 = all
	Abort                 bool   // drops a rollout: that of Version, or where that is "" whichever there is
	Previous              bool   // Version is what the channel pointed to before, by its history
	Force                 bool   // also where another release, or a larger share, is being rolled out
	KeepExpiry            bool   // Expires is as long as in the pointer before
	KeepSpread            bool   // Spread is that of the pointer before
	DryRun                bool   // nothing is signed or written: the pointer is what it would be
	Reason                string // for the channel's history; "" = none

	Keys  []artifacts.PrivateKey
	Trust artifacts.Trust // what manifest and old pointer must have; zero = a signature of one of Keys
	// Publishers are the keys that sign releases, where those are not Keys; an old pointer
	// may be signed by them, too. They count where Trust is zero.
	Publishers []artifacts.PublicKey
	Expires    time.Duration // after Now; 0 = never
	Spread     time.Duration // whole seconds
	Now        time.Time

	exactly artifacts.Digest // of the manifest; zero = whatever Version has
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
		return Promoted{}, fmt.Errorf("%s: %w", p.what(), err)
	}
	return promoted, nil
}

func (p Promotion) what() string {
	switch {
	case p.Abort:
		return fmt.Sprintf("abort the rollout of %s in %s", p.App, p.Channel)
	case p.Previous:
		return fmt.Sprintf("promote the previous %s to %s", p.App, p.Channel)
	}
	return fmt.Sprintf("promote %s %s to %s", p.App, p.Version, p.Channel)
}

func (p Promotion) promote(ctx context.Context, b bucket.Bucket) (Promoted, error) {
	if err := p.check(); err != nil {
		return Promoted{}, err
	}
	if p.Trust == (artifacts.Trust{}) {
		var err error
		if p.Trust, err = p.trust(); err != nil {
			return Promoted{}, err
		}
	}
	var conditions Conditions
	if !p.DryRun {
		var err error
		if conditions, err = bucket.ProbeConditions(ctx, b, channelsPrefix); err != nil {
			return Promoted{}, err
		}
	}
	var first *artifacts.VerifiedPointer
	for round := range rounds {
		previous, was, err := readPointer(ctx, b, p.Trust, p.App, p.Channel)
		if err != nil {
			return Promoted{}, err
		}
		if round == 0 {
			first = previous
			err = p.goBack(ctx, b, previous)
		} else {
			err = p.moved(first, previous)
		}
		if err != nil {
			return Promoted{}, err
		}
		promoted, err := p.swap(ctx, b, previous, was, conditions)
		if !lost(err) {
			return promoted, err
		}
	}
	return Promoted{}, fmt.Errorf("the channel was changed by others %d times in a row: %w", rounds, bucket.ErrChanged)
}

func (p Promotion) check() error {
	err := errors.Join(artifacts.CheckName(p.App), artifacts.CheckName(p.Channel))
	if p.Percent < 0 || p.Percent > 100 {
		err = errors.Join(err, fmt.Errorf("%d percent, want 1 to 100", p.Percent))
	}
	err = errors.Join(err, artifacts.CheckReason(p.Reason))
	if p.Abort || p.Previous {
		return err
	}
	return errors.Join(err, artifacts.CheckVersion(p.Version))
}

// goBack sets the version of a promotion to what was before.
func (p *Promotion) goBack(ctx context.Context, b bucket.Bucket, pointer *artifacts.VerifiedPointer) error {
	if !p.Previous {
		return nil
	}
	was, err := p.before(ctx, b, pointer)
	if err != nil {
		return err
	}
	p.Version, p.exactly = was.Version, was.ManifestSHA256
	return nil
}

// swap is one round. A pointer binds the manifest's bytes, to which a signature
// may have been added since they were read; [AddSignature] checks the converse.
func (p Promotion) swap(ctx context.Context, b bucket.Bucket, previous *artifacts.VerifiedPointer, was *document, conditions Conditions) (Promoted, error) {
	permit, err := p.permit(ctx, b)
	if err != nil {
		return Promoted{}, err
	}
	manifest, err := p.manifest(ctx, b)
	if err != nil {
		return Promoted{}, err
	}
	pointer, err := p.pointer(manifest, previous)
	if err != nil {
		return Promoted{}, err
	}
	if p.DryRun {
		return Promoted{pointer, contentOf(previous), conditions}, nil
	}
	envelope, err := pointer.Sign(p.Keys...)
	if err != nil {
		return Promoted{}, err
	}
	if was != nil && was.etag == "" {
		conditions = NoETag
	}
	if err := p.record(ctx, b, previous, pointer); err != nil {
		return Promoted{}, err
	}
	err = permit(ctx, func(ctx context.Context) error {
		return writeDocument(ctx, b, artifacts.PointerKey(p.Channel), envelope, was)
	})
	if err != nil {
		return Promoted{}, err
	}
	if err := p.readBack(ctx, b, envelope, pointer.Sequence, conditions); err != nil {
		return Promoted{}, err
	}
	if err := p.unchanged(ctx, b, manifest); err != nil {
		return Promoted{}, err
	}
	return Promoted{pointer, contentOf(previous), conditions}, nil
}

// permit is what the pointer is written by. An abort needs none: it points to what the
// channel points to already.
func (p Promotion) permit(ctx context.Context, b bucket.Bucket) (use func(context.Context, func(context.Context) error) error, err error) {
	if p.Abort {
		return func(ctx context.Context, write func(context.Context) error) error { return write(ctx) }, nil
	}
	permit, err := retire.Ask(ctx, b, p.App, p.Version)
	return permit.Use, err
}

// manifest is the digest of the manifest that the channel is moved to, zero for an
// abort: what the channel points to anyhow was checked when it was promoted.
func (p Promotion) manifest(ctx context.Context, b bucket.Bucket) (artifacts.Digest, error) {
	if p.Abort {
		return artifacts.Digest{}, nil
	}
	manifest, err := p.release(ctx, b)
	if err != nil {
		return artifacts.Digest{}, err
	}
	if sum := manifest.SHA256(); p.exactly == (artifacts.Digest{}) || p.exactly == sum {
		return sum, nil
	}
	return artifacts.Digest{}, fmt.Errorf("%w: the manifest of %s is not the one that the channel pointed to", artifacts.ErrUntrusted, p.Version)
}

// unchanged makes sure that the manifest is still the one that was promoted.
func (p Promotion) unchanged(ctx context.Context, b bucket.Bucket, manifest artifacts.Digest) error {
	if p.Abort {
		return nil
	}
	again, err := readManifest(ctx, b, p.Trust, p.App, p.Version)
	if err == nil && again.SHA256() != manifest {
		err = fmt.Errorf("%s: %w", artifacts.ManifestKey(p.Version), bucket.ErrChanged)
	}
	return err
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

func (p Promotion) pointer(manifest artifacts.Digest, previous *artifacts.VerifiedPointer) (artifacts.Pointer, error) {
	pointer, err := p.aim(previous, manifest)
	if err != nil {
		return pointer, err
	}
	now := p.Now.UTC().Truncate(time.Second)
	pointer.Schema, pointer.App, pointer.Channel = artifacts.Schema, p.App, p.Channel
	pointer.Sequence, pointer.Issued, pointer.SpreadSeconds = now.Unix(), now, int64(p.Spread/time.Second)
	expires := p.Expires
	if was := contentOf(previous); was != nil {
		if p.KeepSpread {
			pointer.SpreadSeconds = was.SpreadSeconds
		}
		if p.KeepExpiry && !was.Expires.IsZero() {
			expires = was.Expires.Sub(was.Issued)
		}
	}
	if expires != 0 {
		pointer.Expires = now.Add(expires).Truncate(time.Second)
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

// moved reports whether the channel points to what is neither what this promotion saw
// first nor what it aims at.
func (p Promotion) moved(first, now *artifacts.VerifiedPointer) error {
	if now == nil { // deleted meanwhile: there is nothing that could be lost
		return nil
	}
	is := now.Pointer()
	if first != nil && (is.Same(first.Pointer()) || p.Abort && sameRollout(is, first.Pointer())) || p.aimedAt(is) {
		return nil
	}
	return &MovedError{Channel: p.Channel, Version: is.Version, Next: is.Next, Sequence: is.Sequence}
}

// sameRollout reports whether both roll out one release, to whatever share: who drops
// that need not look again.
func sameRollout(is, was artifacts.Pointer) bool {
	return is.Next != nil && was.Next != nil && is.Next.ManifestSHA256 == was.Next.ManifestSHA256 && is.ManifestSHA256 == was.ManifestSHA256
}

// aimedAt reports whether a pointer is what this promotion would have made.
func (p Promotion) aimedAt(is artifacts.Pointer) bool {
	switch {
	case p.Abort:
		return false // there was a rollout, and this promotion has not ended it
	case p.Percent != 0 && p.Percent < 100:
		return is.Next != nil && is.Next.Version == p.Version && is.Next.Percent == p.Percent
	}
	return is.Next == nil && is.Version == p.Version
}

func contentOf(v *artifacts.VerifiedPointer) *artifacts.Pointer {
	if v == nil {
		return nil
	}
	p := v.Pointer()
	return &p
}
