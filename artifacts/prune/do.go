package prune

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

// TornError is a channel that points to a release of which objects are missing, as only
// a promotion by other means than koboshi's could make it. Nothing more is deleted.
type TornError struct{ Version, Why string }

func (e *TornError) Error() string {
	return fmt.Sprintf("%s is partly removed, and %s: promote another release there", e.Version, e.Why)
}

// Do does what the plan says. Of each release that another one has changed meanwhile it
// sets Changed, and does nothing with it. Errors are those of the bucket, [*TornError],
// and [retire.ErrStore] where the store does not honour conditions. What was begun is
// gone on with by the next prune.
func (p *Plan) Do(ctx context.Context) error {
	byAction := map[Action][]*Release{}
	for _, r := range p.Releases {
		byAction[r.Action] = append(byAction[r.Action], r)
	}
	if len(byAction[Mark])+len(byAction[Unmark])+len(byAction[Sweep]) == 0 {
		return nil
	}
	if err := checkStore(ctx, p.bucket); err != nil {
		return err
	}
	unmark := func(ctx context.Context, r *Release) error { return p.change(ctx, r, retire.Unmarked) }
	mark := func(ctx context.Context, r *Release) error { return p.change(ctx, r, retire.Marked) }
	if err := p.each(ctx, "unmark", byAction[Unmark], unmark); err != nil {
		return err
	}
	if err := p.each(ctx, "mark", byAction[Mark], mark); err != nil {
		return err
	}
	return p.each(ctx, "remove", byAction[Sweep], p.sweep)
}

func checkStore(ctx context.Context, b bucket.Bucket) error {
	found, err := bucket.ProbeConditions(ctx, b, releasesPrefix)
	if err == nil && found != bucket.Honoured {
		err = fmt.Errorf("%w: the condition of a write is %s", retire.ErrStore, found)
	}
	return err
}

// change swaps the mark of a release.
func (p *Plan) change(ctx context.Context, r *Release, to retire.State) error {
	m, err := r.found.To(to, p.options.App, r.Version, p.options.By, time.Now())
	if err != nil {
		return err
	}
	found, err := retire.Write(ctx, p.bucket, m, r.found)
	if errors.Is(err, bucket.ErrChanged) || errors.Is(err, bucket.ErrExists) {
		r.Changed = true
		return nil
	}
	if err == nil {
		r.found, r.State = found, to
	}
	return err
}

// sweep removes a release, and goes on with what another prune has begun. The channels
// were read after the mark: while the mark is what it was, none can point to the release.
func (p *Plan) sweep(ctx context.Context, r *Release) error {
	if r.torn != "" {
		return &TornError{r.Version, r.torn}
	}
	if r.State == retire.Marked {
		if err := p.change(ctx, r, retire.Sweeping); err != nil || r.Changed {
			return err
		}
	}
	if err := p.remove(ctx, r.Version); err != nil || r.State == retire.Gone {
		return err
	}
	err := p.change(ctx, r, retire.Gone)
	r.Changed = false // another one has removed it, too
	return err
}

// remove deletes a release: what its manifest names, and what has a name of the kind
// that publish gives, and the manifest last.
func (p *Plan) remove(ctx context.Context, version string) error {
	m, err := publish.ReadManifest(ctx, p.bucket, p.options.App, version)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, blob := range blobs(m.Document) {
		named[blob.Key] = true
	}
	var keys []string
	for object, err := range p.bucket.List(ctx, releasesPrefix+version+"/") {
		if err != nil {
			return err
		}
		if of, name, ok := split(object.Key); ok && of == version && (named[object.Key] || ours(p.options.App, name)) {
			keys = append(keys, object.Key)
		}
	}
	for _, key := range append(keys, artifacts.ManifestKey(version)) {
		if err := p.bucket.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
