package agent

import (
	"context"

	"koboshi/agent/state"
)

// Hold keeps the machine at the release that runs, or with nil lets it follow
// its channel again. It asks nothing of the network. A hold belongs to the
// instance: it does not count on one that is made from its disk.
func (a *Agent) Hold(ctx context.Context, hold *state.Hold) error {
	r := a.begin("hold")
	defer r.close()
	if err := r.prepare(ctx, false); err != nil {
		return err
	}
	if r.state.Instance == "" {
		return state.ErrNotLaunched
	}
	r.state.Hold = hold
	return r.saveState()
}

// held is why this machine keeps its release, if it does.
func (r *run) held() (reason string, held bool) {
	if r.state.Hold.Active(r.Now()) {
		return r.state.Hold.Reason, true
	}
	return r.Config.HoldTag, r.Config.HoldTag != ""
}
