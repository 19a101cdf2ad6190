package agent

import (
	"context"
	"errors"

	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/store"
)

// Rollback goes back to the release that served before, by the same gate as any
// other, and holds the machine there: the next sync would bring back what was
// rolled back. A previous tree that was altered meanwhile is installed again.
// Where it does not pass the gate, what served goes on serving, and nothing is
// held.
func (a *Agent) Rollback(ctx context.Context, hold state.Hold) (report.Report, error) {
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("rollback")
	unlock, err := r.lock(ctx, false)
	if err != nil {
		return r.refuse(err)
	}
	defer unlock()

	if err := r.discover(ctx); err != nil {
		return r.end(ctx, failed(err))
	}
	r.assumeCurrentIsUp(ctx)
	return r.end(ctx, r.rollBack(ctx, hold))
}

func (r *run) rollBack(ctx context.Context, hold state.Hold) outcome {
	previous, found, err := r.Store.Previous()
	if err != nil || !found {
		return failed(errors.Join(store.ErrNoPrevious, err))
	}
	before, had := r.current()
	if err := r.stepBack(ctx, previous); err != nil {
		return r.settleLive(ctx, failed(err), before, had)
	}
	r.state.Hold = &hold
	if err := r.state.Save(r.State); err != nil {
		return failed(err)
	}
	return outcome{verdict: report.Held}
}

// stepBack serves an earlier release, once its tree is what was published.
func (r *run) stepBack(ctx context.Context, rel store.Release) error {
	seen, _ := rel.SeenOn(r.config.Channel)
	t := target{seen.Pointer, rel.Manifest()}
	r.report.Target = t.describe()
	if !r.intact(ctx, rel) {
		var err error
		if rel, err = r.fetch(ctx, t); err != nil {
			return err
		}
	}
	return r.serve(ctx, rel)
}
