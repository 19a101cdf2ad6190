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

// images are those of the target that are worth a try here, the best first. Why the
// others are not is a warning.
func (r *Run) images(ctx context.Context, t Target) (images []artifacts.Artifact) {
	if r.Config.Install.Images != config.ImagesAuto {
		return nil
	}
	for _, a := range t.Manifest.Manifest().Images(runtime.GOOS, runtime.GOARCH) {
		why := r.Store.CanMount(ctx, a)
		if why == nil {
			images = append(images, a)
			continue
		}
		if !slices.Contains(r.refused, a.SHA256) {
			r.refused = append(r.refused, a.SHA256)
			r.Warn("the %s of %s is not taken: %v", a.Format, t.Manifest.Manifest().Version, why)
		}
	}
	return images
}

// artifact is what [Run.Install] would fetch first.
func (r *Run) artifact(ctx context.Context, t Target) (artifacts.Artifact, error) {
	if images := r.images(ctx, t); len(images) > 0 {
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
