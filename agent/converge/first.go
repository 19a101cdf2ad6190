package converge

import (
	"context"
	"sync"
	"time"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// startable is what the app is started from: a [store.Release], or the first one of a
// machine while it is not on the disk yet.
type startable interface {
	ID() string
	Dir() string
	Version() string
	Manifest() *artifacts.VerifiedManifest
	ManifestSHA256() artifacts.Digest
	SeenOn(channel string) (store.Sighting, bool)
	HealthyOn(instance string) bool
}

// staged is a [store.Staged].
type staged interface {
	startable
	Show() error
	Settle() (store.Release, error)
	Withdraw() error
}

// isFirst reports whether t is to be installed on a machine where nothing was ever
// current, and may be started before it is on the disk. An image is mounted, and has
// little to wait for.
func (r *Run) isFirst(ctx context.Context, t Target) (bool, error) {
	if !r.Early || r.UseDelta {
		return false, nil
	}
	first, err := r.Store.First()
	if !first || err != nil {
		return false, err
	}
	if _, found, err := r.Store.Find(t.Manifest); found || err != nil {
		return false, err
	}
	if _, err := t.tree(); err != nil {
		return false, nil //nolint:nilerr // Install says so, or takes an image
	}
	return len(r.mountable(t, r.images(t), r.tryMount(ctx))) == 0, ctx.Err()
}

// reachFirst is [Run.reach] for the first release of a machine. The app is started as
// soon as its tree is whole and verified, and goes through the gate while the disk
// is still written to.
func (r *Run) reachFirst(ctx context.Context, t Target) error {
	a, err := t.tree()
	if err != nil {
		return err
	}
	var made *store.Staged
	err = r.Steps.Do(ctx, "install", func(ctx context.Context, s *report.Span) error {
		return r.stageBy(ctx, t, a, nil, s, func(in store.Input) (err error) {
			made, err = r.Store.StageFirst(ctx, in)
			return err
		})
	})
	if err != nil {
		return err
	}
	return r.bringUp(ctx, made)
}

// bringUp starts the app and waits for its gate, and for the disk. Nothing counts
// before the release is on the disk: where it cannot be brought there, the app is
// stopped.
func (r *Run) bringUp(ctx context.Context, made staged) error {
	settled := settle(made)
	shown, failed := r.tryFirst(ctx, made)
	var rel store.Release
	err := r.Steps.Do(ctx, "settle", func(context.Context, *report.Span) (err error) {
		rel, err = settled() // in most launches it is there by now
		return err
	})
	if err == nil {
		r.made(rel)
		if shown {
			err = r.Store.Activate(rel) // which makes the link durable, too
		}
	}
	if err != nil && shown {
		r.withdraw(ctx, made)
	}
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return r.passed(ctx, rel)
}

// settle brings a release to the disk, and returns a function that waits for that.
func settle(made staged) (wait func() (store.Release, error)) {
	var rel store.Release
	var err error
	var settling sync.WaitGroup
	settling.Go(func() { rel, err = made.Settle() })
	return func() (store.Release, error) { settling.Wait(); return rel, err }
}

// tryFirst reports whether the release was made current for the app, and what is wrong with it.
func (r *Run) tryFirst(ctx context.Context, made staged) (shown bool, err error) {
	if err := r.mayRun(made); err != nil {
		return false, err
	}
	gate, err := r.start(ctx, made, func() error {
		err := made.Show()
		shown = err == nil
		return err
	})
	if err == nil {
		err = r.gate(ctx, made, gate)
	}
	return shown, err
}

// withdraw stops an app whose release could not be brought to the disk. It has time
// of its own: the run may have none left.
func (r *Run) withdraw(ctx context.Context, made staged) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	if err := r.Service.Stop(ctx); err != nil {
		r.Warn("%s is not on the disk, and could not be stopped: %v", made.Version(), err)
	}
	if err := made.Withdraw(); err != nil {
		r.Warn("%s is not on the disk, and still current: %v", made.Version(), err)
	}
}

const withdrawTime = 2 * time.Minute
