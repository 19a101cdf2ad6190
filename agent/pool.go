package agent

import (
	"context"
	"errors"
	"slices"

	"koboshi/agent/converge"
	"koboshi/agent/drain"
	"koboshi/agent/failure"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// stillPooled reports whether an instance whose launch led into a warm pool is in it
// still. On the way out it is launched again: its release may be old by then. Where
// the metadata does not say, Auto Scaling is asked; in doubt it is launched, and the
// lifecycle hook decides.
func (r *run) stillPooled(ctx context.Context) bool {
	state, err := r.agent.Machine.TargetState(ctx)
	if err != nil || state == "" {
		_, state, err = r.cloud.Lifecycle.Group(ctx, r.Instance.ID)
	}
	if err != nil {
		r.warn("whether the instance is still in its warm pool is not known: %v", err)
		return false
	}
	return lifecycle.TargetOf(state) == lifecycle.Warm
}

// stock readies an instance that is in a warm pool: the release of the channel is
// installed and current, and nothing is started. A source that is unavailable is no
// reason to replace an instance that has something to fall back to: on the way out it
// is asked again.
func (r *run) stock(ctx context.Context) converge.Outcome {
	out := r.bake(ctx)
	if out.Err != nil && ctx.Err() == nil && slices.Contains(r.Config.Fallback.When, failure.Kind(out.Err)) && r.FallbackReady() {
		return converge.Outcome{Verdict: report.Stale, Cause: out.Err}
	}
	return out
}

// errPooled is a rollback of an instance that runs nothing.
var errPooled = failure.WithHint(failure.Mark(errors.New("the instance is in a warm pool, where nothing is started"), failure.ErrUsage), "promote the release to go back to; it is installed on the way out of the pool")

// pooledHere reports whether the last launch of this instance led into a warm pool.
func (r *run) pooledHere() bool { return r.state.Signalled != nil && r.state.Signalled.Pooled }

// forgetEnded forgets the drain by which an instance went out of service, such as back
// into its warm pool: it is to be launched again.
func forgetEnded(d dirs) error {
	if d.err != nil {
		return d.err
	}
	record, _, err := drain.Load(d.state)
	if err != nil || record.Open() {
		return err
	}
	return errors.Join(drain.Remove(d.state), state.Stay(d.run))
}

// enterPool records that a drain led back into the warm pool.
func (r *run) enterPool() {
	if r.state.Signalled == nil || r.state.Signalled.Pooled {
		return
	}
	r.state.Signalled.Pooled = true
	if err := r.saveState(); err != nil {
		r.warn("that the instance is in its warm pool could not be recorded: %v", err)
	}
}
