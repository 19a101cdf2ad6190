package prune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

// Options are the rules of a prune.
type Options struct {
	App     string
	Keep    int               // so many of the newest releases stay
	MinAge  time.Duration     // and those that are younger
	Carried map[string]string // and these versions: what carries each, such as an AMI's id
	Grace   time.Duration     // between mark and removal; at least [retire.MinGrace]
	By      string            // who prunes, for people
	Local   func() time.Time  // the clock of a store that has none of its own; nil = it has one

	// Progress is called from time to time; nil = it is not.
	Progress func(what string, done, total int)
}

// Plan is what a prune would do.
type Plan struct {
	Releases []*Release // by version
	Unknown  []string   // some of the keys below releases/ that koboshi has not made
	Unknowns int        // how many there are

	options Options
	bucket  bucket.Bucket
	doing   sync.Mutex
	large   sync.Mutex
}

// maxUnknown is how many keys of strangers a plan has.
const maxUnknown = 20

// How many objects are read or written at once. Manifests above small take several
// times their size while they are read: these come one by one.
const (
	parallel = 8
	small    = 256 << 10
)

// Look lists the releases of an app, reads channels, manifests and marks, and decides.
// Errors are those of the bucket, [retire.ErrMark], [ErrChannel], and [retire.ErrStore]
// where the store does not say what time it is.
func Look(ctx context.Context, b bucket.Bucket, o Options) (*Plan, error) {
	p := &Plan{options: o, bucket: b}
	if err := errors.Join(artifacts.CheckName(o.App), o.check()); err != nil {
		return nil, err
	}
	now, err := p.list(ctx) // an age is judged by a time before the channels are read
	if err != nil {
		return nil, fmt.Errorf("releases of %s: %w", o.App, err)
	}
	if err := p.each(ctx, "read", p.Releases, p.read); err != nil {
		return nil, err
	}
	named, err := channels(ctx, b, o.App) // after the marks: see package retire
	if err != nil {
		return nil, fmt.Errorf("channels of %s: %w", o.App, err)
	}
	if len(p.Releases) > 0 && now.IsZero() {
		return nil, fmt.Errorf("%w: its answers have no Date", retire.ErrStore)
	}
	o.decide(p.Releases, named, now)
	return p, nil
}

func (o Options) check() error {
	if o.Keep < 0 || o.MinAge < 0 || o.Grace < retire.MinGrace {
		return fmt.Errorf("keep %d, min-age %s, grace %s: want at least 0, 0 and %s", o.Keep, o.MinAge, o.Grace, retire.MinGrace)
	}
	return nil
}

// list reads the names of everything below releases/. Only what it keeps of them is in
// memory: a few words for each version.
func (p *Plan) list(ctx context.Context) (now time.Time, err error) {
	if p.options.Local != nil {
		now = p.options.Local()
	}
	var last *Release
	for object, err := range p.bucket.List(ctx, releasesPrefix) {
		if err != nil {
			return now, err
		}
		if object.Date.After(now) && p.options.Local == nil {
			now = object.Date
		}
		version, name, ok := split(object.Key)
		if !ok {
			p.unknown(object.Key)
			continue
		}
		if last == nil || last.Version != version { // keys are in order
			last = &Release{Version: version}
			p.Releases = append(p.Releases, last)
		}
		switch {
		case name == retire.Name:
			last.mark = true
			continue
		case name == manifestName:
			last.manifest, last.modified = true, object.Modified
		case !ours(p.options.App, name):
			last.Strangers++
			p.unknown(object.Key)
			continue
		}
		last.Objects++
		last.Bytes += object.Size
		p.report("list", len(p.Releases), 0)
	}
	return now, nil
}

func (p *Plan) unknown(key string) {
	if p.Unknowns++; len(p.Unknown) < maxUnknown {
		p.Unknown = append(p.Unknown, key)
	}
}

func (p *Plan) report(what string, done, total int) {
	if p.options.Progress != nil {
		p.options.Progress(what, done, total)
	}
}

// each does something for every release, several at a time.
func (p *Plan) each(ctx context.Context, what string, all []*Release, do func(context.Context, *Release) error) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	done := 0
	for _, r := range all {
		if within.Err() != nil {
			break
		}
		group.Go(func() error {
			err := do(within, r)
			p.doing.Lock()
			defer p.doing.Unlock()
			done++
			p.report(what, done, len(all))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// read reads manifest and mark of a release. A mark alone is what a sweep has left.
func (p *Plan) read(ctx context.Context, r *Release) error {
	if r.mark && r.Objects == 0 {
		r.State = retire.Gone
		return nil
	}
	if r.manifest {
		if err := p.readManifest(ctx, r); err != nil {
			return err
		}
	}
	if !r.mark {
		return nil
	}
	found, err := retire.Read(ctx, p.bucket, p.options.App, r.Version)
	if errors.Is(err, artifacts.ErrUntrusted) || errors.Is(err, artifacts.ErrTooOld) {
		r.damage = errors.Join(r.damage, err)
		return nil
	}
	r.found, r.State = found, found.State
	if p.options.Local == nil && r.State == retire.Marked && found.Date.IsZero() {
		err = fmt.Errorf("%w: its answers have no Date", retire.ErrStore)
	}
	return err
}

func (p *Plan) readManifest(ctx context.Context, r *Release) error {
	if r.Bytes > small { // then the manifest may be
		p.large.Lock()
		defer p.large.Unlock()
	}
	m, err := publish.ReadManifest(ctx, p.bucket, p.options.App, r.Version)
	if err != nil {
		return err
	}
	r.Created, r.damage = m.Document.Created, m.Err
	bases := map[string]bool{}
	for _, a := range m.Document.Artifacts {
		for _, d := range a.Deltas {
			bases[d.Base] = true
		}
	}
	r.bases = slices.Collect(maps.Keys(bases))
	p.doing.Lock()
	defer p.doing.Unlock()
	for _, blob := range blobs(m.Document) {
		if _, name, _ := split(blob.Key); !ours(p.options.App, name) { // another tool has published it
			r.Objects, r.Strangers, r.Bytes = r.Objects+1, r.Strangers-1, r.Bytes+blob.Size
			p.Unknowns--
			p.Unknown = slices.DeleteFunc(p.Unknown, func(key string) bool { return key == blob.Key })
		}
	}
	return nil
}

// blobs are the objects that a manifest names. Its grammar keeps them in its release.
func blobs(m artifacts.Manifest) (all []artifacts.Blob) {
	for _, a := range m.Artifacts {
		all = append(all, a.Blobs()...)
	}
	return all
}
