package converge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

// A tree is read alone for as long as writing it anew would take at the rate of
// a gp3 volume without options, and a second more. A volume that was made from a
// snapshot a moment ago may be slower by an order of magnitude; then the release
// is fetched as well, and what is complete first counts.
const (
	readAhead = time.Second
	readRate  = 125 << 20 // bytes a second
)

// errAltered is a tree that is not what was published, and was not repaired.
var errAltered = errors.New("changed on this machine")

// prove is asked of every release before it is started, as [Run.mayRun] is: its
// tree must be what was published, as far as install.verify wants that looked at.
// A tree that was altered is repaired; where that is not possible the release
// does not run. An image is mounted last. What passed the gate on this instance was looked at before that.
func (r *Run) prove(ctx context.Context, rel store.Release) (store.Release, error) {
	when := r.Config.Install.Verify
	if r.isSealed(rel) {
		return r.mount(ctx, rel)
	}
	if when == config.VerifyStart || when == config.VerifyLaunch && !rel.HealthyOn(r.Instance.ID) {
		var err error
		if rel, err = r.verify(ctx, rel); err != nil {
			return rel, err
		}
	}
	return r.mount(ctx, rel)
}

// isSealed reports whether the kernel protects the image of a release since it was
// installed. Where it should and does not, that is a warning.
func (r *Run) isSealed(rel store.Release) bool {
	if !r.Config.Install.FSVerity {
		return false
	}
	sealed, why := r.Store.Sealed(rel)
	if why != nil && r.unsealed != rel.ID() {
		r.unsealed = rel.ID()
		r.Warn("the image of %s is not protected by fs-verity: %v", rel.Version(), why)
	}
	return sealed
}

// verify compares a tree with its index, unless this run has done that or has
// made the tree, and repairs it.
func (r *Run) verify(ctx context.Context, rel store.Release) (store.Release, error) {
	if r.proven == rel.ID() {
		return rel, nil
	}
	found := r.compare(ctx, rel)
	switch {
	case found.replaced:
		r.Warn("%s took long to read and was fetched again meanwhile", rel.Version())
		return r.made(found.release), nil
	case ctx.Err() != nil:
		return rel, context.Cause(ctx)
	case found.err != nil:
		r.Warn("%s could not be verified and is installed again: %v", rel.Version(), found.err)
	case found.diff.Clean():
		r.proven = rel.ID()
		return rel, nil
	default:
		r.Warn("%s was changed on this machine and is installed again: %d altered, %d added, %d removed",
			rel.Version(), len(found.diff.Altered), len(found.diff.Added), len(found.diff.Removed))
	}
	if !r.canFetch() {
		return rel, fmt.Errorf("%s was %w and cannot be fetched now: %w", rel.Version(), errAltered, failure.ErrAltered)
	}
	again, err := r.repair(ctx, rel, found)
	if err != nil {
		r.offline = r.offline || errors.Is(err, fetch.ErrTransport)
		return rel, fmt.Errorf("%s was %w and could not be installed again: %w", rel.Version(), errAltered, err)
	}
	return r.made(again), nil
}

// made notes that this run has made a tree: every byte of it was verified.
func (r *Run) made(rel store.Release) store.Release {
	r.proven, r.installed = rel.ID(), true
	return rel
}

// canFetch reports whether it makes sense to ask the sources for anything.
func (r *Run) canFetch() bool { return r.Artifacts != nil && !r.offline }

// comparison is what came of reading a tree: how it differs from its index, why
// it could not be compared, or the release that was made in its place.
type comparison struct {
	diff     tree.Diff
	err      error
	release  store.Release
	replaced bool
}

// compare reads a whole tree. Where that takes too long, the release is fetched
// as well.
func (r *Run) compare(ctx context.Context, rel store.Release) comparison {
	read := func(ctx context.Context) comparison { return r.readTree(ctx, rel) }
	if !r.canFetch() {
		return read(ctx)
	}
	return race(ctx, readBound(rel), read, func(ctx context.Context) comparison { return r.fetchWhole(ctx, rel) })
}

// race reads alone until the bound. Then it fetches as well, and the first that
// succeeds stops the other. It returns when both have ended.
func race(ctx context.Context, bound time.Duration, read, fetch func(context.Context) comparison) comparison {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reading := inBackground(ctx, read)
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case found := <-reading:
		return found
	case <-late.C:
	}
	fetching := inBackground(ctx, fetch)
	var found, other comparison
	select {
	case found = <-reading:
		if found.err == nil && found.diff.Clean() {
			stop()
		}
		other = <-fetching
	case other = <-fetching:
		if other.replaced {
			stop()
		}
		found = <-reading
	}
	if other.replaced {
		return other
	}
	return found
}

func inBackground(ctx context.Context, f func(context.Context) comparison) <-chan comparison {
	out := make(chan comparison, 1)
	go func() { out <- f(ctx) }()
	return out
}

// readBound is how long a tree is read before its release is fetched as well.
func readBound(rel store.Release) time.Duration {
	a, err := rel.Artifact()
	if err != nil {
		return readAhead
	}
	size := a.UnpackedBytes
	if a.Image != nil {
		size = a.Image.Size
	}
	return readAhead + time.Duration(float64(size)/readRate*float64(time.Second))
}

func (r *Run) readTree(ctx context.Context, rel store.Release) (found comparison) {
	found.err = r.Steps.Do(ctx, "verify", func(ctx context.Context, _ *report.Span) (err error) {
		found.diff, err = r.Store.Verify(ctx, rel)
		return err
	})
	return found
}

func (r *Run) fetchWhole(ctx context.Context, rel store.Release) (found comparison) {
	found.release, found.err = r.replace(ctx, rel)
	found.replaced = found.err == nil
	return found
}

// replace makes a release from its whole artifact once more.
func (r *Run) replace(ctx context.Context, rel store.Release) (again store.Release, err error) {
	t := Target{Manifest: rel.Manifest(), Seen: r.Now()}
	a, err := rel.Artifact()
	if err != nil {
		return rel, err
	}
	err = r.Steps.Do(ctx, "install", func(ctx context.Context, s *report.Span) error {
		again, err = r.stage(ctx, t, a, nil, s)
		return err
	})
	return again, err
}

// repair fetches what differs, where parts of the artifact can be fetched, and
// else all of it.
func (r *Run) repair(ctx context.Context, rel store.Release, found comparison) (store.Release, error) {
	if found.err != nil {
		return r.replace(ctx, rel)
	}
	a, err := rel.Artifact()
	if err == nil {
		a, err = r.withChunks(ctx, a)
	}
	if err != nil {
		return rel, err
	}
	plan, ok, err := r.Store.Repair(ctx, rel, a, found.diff)
	if err != nil || !ok {
		return r.replace(ctx, rel)
	}
	var again store.Release
	err = r.Steps.Do(ctx, "repair", func(ctx context.Context, s *report.Span) error {
		again, err = r.patch(ctx, rel, plan, s)
		return err
	})
	if _, changed := errors.AsType[*delta.BaseError](err); !changed || ctx.Err() != nil {
		return again, err
	}
	r.Warn("%s could not be repaired, the whole artifact is fetched: %v", rel.Version(), err)
	return r.replace(ctx, rel)
}

// patch makes the release from its own tree and some chunks of the artifact.
func (r *Run) patch(ctx context.Context, rel store.Release, plan *store.Repair, s *report.Span) (again store.Release, err error) {
	in := store.Input{Manifest: rel.Manifest(), Artifact: plan.Artifact, Index: plan.Index, Seen: r.Now(), Repair: plan}
	endTurn, err := r.Store.MakeRoom(ctx, in)
	if err != nil {
		return rel, err
	}
	defer endTurn()
	if len(plan.Chunks) > 0 {
		s.SetTotal(plan.Bytes)
		content := patient{r.Artifacts.OpenChunks(ctx, plan.Artifact, plan.Chunks, r.Rate, s), r}
		defer func() { err = errors.Join(err, content.Close()) }()
		in.Content = content
	}
	return r.Store.Stage(ctx, in)
}
