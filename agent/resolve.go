package agent

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// target is what shall run here, proven.
type target struct {
	pointer  *artifacts.VerifiedPointer // nil where it was asked for by version
	manifest *artifacts.VerifiedManifest
}

// artifact is the target's for this machine.
func (t target) artifact() (artifacts.Artifact, error) {
	return t.manifest.Manifest().Artifact(runtime.GOOS, runtime.GOARCH)
}

// resolve asks the channel for its release, or the source for the one that was
// asked for by version.
func (r *run) resolve(ctx context.Context, s *report.Span) (target, error) {
	if r.pin != "" {
		return r.release(ctx, nil, artifacts.Reference{App: r.config.App, Version: r.pin})
	}
	ask := func() (*artifacts.VerifiedPointer, error) { return r.pointer(ctx, s) }
	if r.known != nil {
		ask, r.known = r.known, nil
	}
	pointer, err := ask()
	if err != nil {
		return target{}, err
	}
	return r.manifest(ctx, pointer)
}

// pointer reads the channel. Its sequence is durable before anything else is
// done with it, so that a crash cannot make this machine believe an older one.
func (r *run) pointer(ctx context.Context, s *report.Span) (*artifacts.VerifiedPointer, error) {
	s.Attempt()
	pointer, err := r.cloud.Releases.Pointer(ctx, r.config.Channel)
	if err != nil {
		return nil, err
	}
	channel := r.config.Channel
	if err := r.state.Sequence(channel).Admit(pointer.Sequence(), r.config.Trust.Floor[channel]); err != nil {
		return nil, err
	}
	r.state.SetSequence(channel, pointer.Sequence())
	if err := r.state.Save(r.State); err != nil {
		return nil, fmt.Errorf("remember the sequence: %w", err)
	}
	return pointer, pointer.CheckExpiry(r.Now())
}

func (r *run) manifest(ctx context.Context, pointer *artifacts.VerifiedPointer) (target, error) {
	return r.release(ctx, pointer, pointer.Reference())
}

func (r *run) release(ctx context.Context, pointer *artifacts.VerifiedPointer, ref artifacts.Reference) (target, error) {
	manifest, found := r.installedManifest(ref)
	if !found {
		var err error
		if manifest, err = r.cloud.Releases.Manifest(ctx, ref); err != nil {
			return target{}, err
		}
	}
	t := target{pointer, manifest}
	r.report.Target = t.describe()
	return t, nil
}

// installedManifest spares a request: what a pointer names is named by its hash,
// so that the bytes beside an installed release are as good as the bucket's. A
// damaged one is asked for again.
func (r *run) installedManifest(ref artifacts.Reference) (*artifacts.VerifiedManifest, bool) {
	releases, err := r.Store.Releases()
	i := slices.IndexFunc(releases, func(rel store.Release) bool {
		return ref == artifacts.Reference{App: rel.App(), Version: rel.Version(), ManifestSHA256: rel.ManifestSHA256()}
	})
	if err != nil || i < 0 {
		return nil, false
	}
	return releases[i].Manifest(), true
}

// moved asks once more what the channel names. A channel that cannot be read
// now has been read a moment ago: what it named then is what counts.
func (r *run) moved(ctx context.Context, t target) (*artifacts.VerifiedPointer, bool) {
	if t.pointer == nil {
		return nil, false // nobody asked it
	}
	var next *artifacts.VerifiedPointer
	err := r.steps.Do(ctx, "recheck", func(ctx context.Context, s *report.Span) (err error) {
		next, err = r.pointer(ctx, s)
		return err
	})
	if err != nil {
		r.warn("the channel could not be checked again: %v", err)
		return nil, false
	}
	return next, next.Reference() != t.pointer.Reference()
}

// learnSequences takes over what the installed releases' pointers prove, for a
// state file that was lost or is older than the disk.
func (r *run) learnSequences() error {
	releases, err := r.Store.Releases()
	if err != nil {
		return err
	}
	for _, rel := range releases {
		for _, seen := range rel.Pointers() {
			channel, sequence := seen.Pointer.Pointer().Channel, seen.Pointer.Sequence()
			if r.state.Sequence(channel).Number < sequence.Number {
				r.state.SetSequence(channel, sequence)
			}
		}
	}
	return nil
}

func (t target) describe() *report.Release {
	out := &report.Release{Version: t.manifest.Manifest().Version, ManifestSHA256: t.manifest.SHA256().String()}
	if t.pointer != nil {
		out.Sequence = t.pointer.Sequence().Number
	}
	return out
}
