package converge

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"koboshi/agent/config"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// tree is the target's artifact for this machine that is unpacked.
func (t Target) tree() (artifacts.Artifact, error) {
	return t.Manifest.Manifest().Artifact(runtime.GOOS, runtime.GOARCH)
}

// images are those of the target that may be mounted here, in the order of the manifest.
func (r *Run) images(t Target) []artifacts.Artifact {
	if r.Config.Install.Images != config.ImagesAuto {
		return nil
	}
	return t.Manifest.Manifest().Images(runtime.GOOS, runtime.GOARCH)
}

// mountable drops the images before the first one that this machine mounts. Why is a
// warning. What is after it was not asked about.
func (r *Run) mountable(t Target, images []artifacts.Artifact, can func(artifacts.Artifact) error) []artifacts.Artifact {
	for len(images) > 0 {
		a := images[0]
		why := can(a)
		if why == nil {
			break
		}
		if !slices.Contains(r.refused, a.SHA256) {
			r.refused = append(r.refused, a.SHA256)
			r.Warn("the %s of %s is not taken: %v", a.Format, t.Manifest.Manifest().Version, why)
		}
		images = images[1:]
	}
	return images
}

// tryMount mounts a sample of an image's format, before the image is fetched.
func (r *Run) tryMount(ctx context.Context) func(artifacts.Artifact) error {
	return func(a artifacts.Artifact) error { return r.Store.TryMount(ctx, a) }
}

// artifact is what [Run.Install] would fetch first, as far as that can be seen without
// mounting anything.
func (r *Run) artifact(ctx context.Context, t Target) (artifacts.Artifact, error) {
	images := r.mountable(t, r.images(t), func(a artifacts.Artifact) error { return r.Store.CanMount(ctx, a) })
	if len(images) > 0 {
		return images[0], nil
	}
	return t.tree()
}

// mount makes the tree of a release ready for its app, each time before that is
// started. An image that this machine does not mount any more is replaced by the
// tree, where that can be fetched.
func (r *Run) mount(ctx context.Context, rel store.Release) (store.Release, error) {
	err := r.Store.Mount(ctx, rel)
	if !errors.Is(err, store.ErrMount) {
		return rel, err
	}
	t := Target{Manifest: rel.Manifest(), Seen: r.Now()}
	a, none := t.tree()
	if none != nil || !r.canFetch() {
		return rel, fmt.Errorf("%w: %w", service.ErrActivate, err)
	}
	r.Warn("%v; its tree is fetched", err)
	again, failed := r.fetchTree(ctx, t, a)
	if failed != nil {
		return rel, fmt.Errorf("%w: %w; and its tree: %w", service.ErrActivate, err, failed)
	}
	return again, nil
}
