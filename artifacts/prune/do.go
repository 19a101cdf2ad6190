package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

// batch is how many releases are swept together: the channels are read once for them.
const batch = 64

// TornError is a channel that points to a release of which objects are missing, as only
// a promotion by other means than koboshi's could make it. Nothing more is deleted.
type TornError struct{ Version, Why string }

func (e *TornError) Error() string {
	return fmt.Sprintf("%s is partly removed, and %s: promote another release there", e.Version, e.Why)
}

// Do does what the plan says. Of each release that another one has changed meanwhile it
// sets Changed, and does nothing with it. Errors are those of the bucket, [ErrChannel],
// [*TornError], and [retire.ErrStore] where the store does not honour conditions. What
// was begun is gone on with by the next prune.
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
	return p.sweep(ctx, byAction[Sweep])
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

// sweep removes releases. Their marks are taken before the channels are read.
func (p *Plan) sweep(ctx context.Context, all []*Release) error {
	done := 0
	for some := range slices.Chunk(all, batch) {
		taken := map[*Release]bool{} // was sweeping before
		for _, r := range some {
			taken[r] = r.State == retire.Sweeping
		}
		if err := p.each(ctx, "", some, func(ctx context.Context, r *Release) error {
			if r.State == retire.Gone {
				return nil
			}
			return p.change(ctx, r, retire.Sweeping)
		}); err != nil {
			return err
		}
		named, err := channels(ctx, p.bucket, p.options.App)
		if err != nil {
			return err
		}
		if err := p.each(ctx, "", some, func(ctx context.Context, r *Release) error {
			if r.Changed {
				return nil
			}
			return p.settle(ctx, r, named[r.Version], taken[r])
		}); err != nil {
			return err
		}
		done += len(some)
		p.report("remove", done, len(all))
	}
	return nil
}

// settle ends the sweep of one release, whose mark was taken. why is what names it.
// begun means that another prune may have deleted some of it.
func (p *Plan) settle(ctx context.Context, r *Release, why string, begun bool) error {
	if r.State == retire.Gone { // leftovers
		return p.remove(ctx, r.Version)
	}
	to := settle(why != "")
	switch {
	case to == retire.Gone:
		if err := p.remove(ctx, r.Version); err != nil {
			return err
		}
	case begun:
		if err := p.whole(ctx, r.Version, why); err != nil {
			return err
		}
	}
	if to == retire.Unmarked {
		r.Action, r.Why = Unmark, why
	}
	return p.change(ctx, r, to)
}

// objects are the keys of a release that may be deleted, but its manifest.
func (p *Plan) objects(ctx context.Context, version string) (keys []string, m publish.Listed[artifacts.Manifest], err error) {
	m, err = publish.ReadManifest(ctx, p.bucket, p.options.App, version)
	if err != nil {
		return nil, m, err
	}
	named := map[string]bool{}
	for _, blob := range blobs(m.Document) {
		named[blob.Key] = true
	}
	prefix := releasesPrefix + version + "/"
	for object, err := range p.bucket.List(ctx, prefix) {
		if err != nil {
			return nil, m, err
		}
		if of, name, ok := split(object.Key); ok && of == version && (named[object.Key] || ours(p.options.App, name)) {
			keys = append(keys, object.Key)
		}
	}
	return keys, m, nil
}

// remove deletes a release, its manifest last.
func (p *Plan) remove(ctx context.Context, version string) error {
	keys, _, err := p.objects(ctx, version)
	if err != nil {
		return err
	}
	for _, key := range append(keys, artifacts.ManifestKey(version)) {
		if err := p.bucket.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// whole makes sure that all of a release is there.
func (p *Plan) whole(ctx context.Context, version, why string) error {
	keys, m, err := p.objects(ctx, version)
	if err != nil {
		return err
	}
	for _, blob := range blobs(m.Document) {
		if !slices.Contains(keys, blob.Key) {
			return &TornError{version, why}
		}
	}
	if m.Err != nil {
		return &TornError{version, why}
	}
	return nil
}
