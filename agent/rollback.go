package agent

import (
	"context"
	"errors"

	"koboshi/agent/converge"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/store"
)

// Rollback goes back to the previous release, by the same gate as any other, and
// holds the machine there: the next sync would bring back what was rolled back. A
// previous tree that was altered meanwhile is installed again. Where it does not
// pass the gate, the release that was running goes on, and nothing is held.
func (a *Agent) Rollback(ctx context.Context, hold state.Hold) (report.Report, error) {
	ctx, cancel := a.limit(ctx)
	defer cancel()
	r := a.begin("rollback")
	defer r.close()
	if err := r.prepare(ctx, false); err != nil {
		return r.refuse(err)
	}
	if err := r.discover(ctx); err != nil {
		return r.end(converge.Failed(ctx, err))
	}
	r.look(ctx)
	return r.end(r.rollBack(ctx, hold))
}

func (r *run) rollBack(ctx context.Context, hold state.Hold) converge.Outcome {
	previous, found, err := r.Store.Previous()
	if err != nil || !found {
		return converge.Failed(ctx, errors.Join(store.ErrNoPrevious, err))
	}
	before, had, err := r.before()
	if err != nil {
		return converge.Failed(ctx, err)
	}
	if err := r.Reinstate(ctx, previous); err != nil {
		return r.SettleLive(ctx, converge.Failed(ctx, err), before, had)
	}
	r.state.Hold = &hold
	if err := r.saveState(); err != nil {
		return converge.Failed(ctx, err)
	}
	return converge.Outcome{Verdict: report.Held}
}
