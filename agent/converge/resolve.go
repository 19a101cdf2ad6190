package converge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
)

// Target is the release that the machine is to run, verified.
type Target struct {
	Pointer  *artifacts.VerifiedPointer // nil where it was asked for by version
	Seen     time.Time                  // when the pointer was read
	Source   string                     // where from, and so with ETag: see [store.Sighting]
	ETag     string
	Manifest *artifacts.VerifiedManifest
}

// sighting is what is remembered of the pointer.
func (t Target) sighting() store.Sighting {
	return store.Sighting{Pointer: t.Pointer, Seen: t.Seen, Source: t.Source, ETag: t.ETag}
}

// Describe is the target as reports show it.
func (t Target) Describe() *report.Release {
	out := &report.Release{Version: t.Manifest.Manifest().Version, ManifestSHA256: t.Manifest.SHA256().String()}
	if t.Pointer != nil {
		out.Sequence = t.Pointer.Sequence().Number
	}
	return out
}

// channelAnswer is one reading of the channel.
type channelAnswer struct {
	fetch.Known
	err error
}

// Resolve asks the channel for its release, or the source for the version that
// was asked for.
func (r *Run) Resolve(ctx context.Context) (t Target, err error) {
	s := r.Steps.Begin("resolve")
	defer s.End(&err)
	ctx, cancel := r.impatient(ctx)
	defer cancel()
	if r.Version != "" {
		return r.release(ctx, fetch.Known{}, artifacts.Reference{App: r.Config.App, Version: r.Version})
	}
	answer := r.known
	if r.known = nil; answer == nil {
		answer = r.ask(ctx, s)
	}
	if answer.err != nil {
		return Target{}, answer.err
	}
	return r.manifest(ctx, answer.Known)
}

// Peek reads the channel before [Run.Resolve], once: both go by the same answer
// unless it is forgotten.
func (r *Run) Peek(ctx context.Context) (pointer *artifacts.VerifiedPointer, err error) {
	if r.known == nil {
		s := r.Steps.Begin("resolve")
		defer s.End(&err)
		ctx, cancel := r.impatient(ctx)
		defer cancel()
		r.known = r.ask(ctx, s)
	}
	return r.known.Pointer, r.known.err
}

// Forget has the channel read anew.
func (r *Run) Forget() { r.known = nil }

// ask reads the channel's pointer, admits its sequence and looks at its expiry.
func (r *Run) ask(ctx context.Context, s *report.Span) *channelAnswer {
	s.Attempt()
	got, err := r.Releases.Pointer(ctx, r.Config.Channel, r.lastSeen())
	if err == nil {
		err = r.Admit(got.Pointer)
	}
	if err == nil {
		err = got.Pointer.CheckExpiry(r.Now())
	}
	if err == nil {
		r.latest = got.Pointer
	}
	return &channelAnswer{got, Because(silence(ctx), err)}
}

// lastSeen is the channel's pointer to the current release, where the run reads only
// what is new. The store has verified it under the keys of today.
func (r *Run) lastSeen() fetch.Known {
	current, found := r.Current()
	if !r.IfNew || !found {
		return fetch.Known{}
	}
	seen, _ := current.SeenOn(r.Config.Channel)
	source := slices.Index(r.Config.Source, seen.Source)
	if source < 0 {
		return fetch.Known{}
	}
	return fetch.Known{Pointer: seen.Pointer, Source: source, ETag: seen.ETag}
}

// errSilent is a source that was not waited for any longer.
var errSilent = fmt.Errorf("no answer within fallback.after: %w", fetch.ErrTransport)

// impatient is a context that ends after the run's patience.
func (r *Run) impatient(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, r.Patience)
}

func within(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	if patience == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, patience, errSilent)
}

// silence is errSilent where that ended ctx.
func silence(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return nil
}

func (r *Run) manifest(ctx context.Context, known fetch.Known) (Target, error) {
	return r.release(ctx, known, known.Pointer.Choose(r.Instance.ID))
}

// release reads a manifest, unless its release is installed: a pointer names it
// by its hash, so the installed one is as good as the bucket's.
func (r *Run) release(ctx context.Context, known fetch.Known, ref artifacts.Reference) (Target, error) {
	releases, err := r.Store.Releases()
	if err != nil {
		return Target{}, err
	}
	t := r.targetOf(known)
	i := slices.IndexFunc(releases, func(rel store.Release) bool {
		return ref == artifacts.Reference{App: rel.App(), Version: rel.Version(), ManifestSHA256: rel.ManifestSHA256()}
	})
	if i >= 0 {
		t.Manifest = releases[i].Manifest()
	} else if t.Manifest, err = r.Releases.Manifest(ctx, ref); err != nil {
		return Target{}, Because(silence(ctx), err)
	}
	r.target = &t
	return t, nil
}

// targetOf is what was read of the channel just now, without its manifest.
func (r *Run) targetOf(known fetch.Known) Target {
	t := Target{Pointer: known.Pointer, Seen: r.Now(), ETag: known.ETag}
	if known.Pointer != nil && known.Source < len(r.Config.Source) {
		t.Source = r.Config.Source[known.Source]
	}
	return t
}

// moved asks the channel whether it still has the target for this instance: a rollout
// that others are in, or are in now, is no reason to change anything here.
func (r *Run) moved(ctx context.Context) (fetch.Known, bool) {
	if r.target.Pointer == nil {
		return fetch.Known{}, false // the channel was not asked
	}
	var answer *channelAnswer
	err := r.Steps.Do(ctx, "recheck", func(ctx context.Context, s *report.Span) error {
		// what was gated stands ready, with a fallback on the disk or without
		ctx, cancel := within(ctx, cmp.Or(r.Patience, time.Duration(r.Config.Fallback.After)))
		defer cancel()
		answer = r.ask(ctx, s)
		return answer.err
	})
	if err != nil {
		r.Warn("the channel could not be checked again: %v", err)
		return fetch.Known{}, false
	}
	return answer.Known, answer.Pointer.Choose(r.Instance.ID) != r.target.Pointer.Choose(r.Instance.ID)
}
