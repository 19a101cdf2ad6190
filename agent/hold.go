package agent

import (
	"context"

	"koboshi/agent/converge"
	"koboshi/agent/report"
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
	if hold != nil {
		hold.Left = r.left() // a new reason does not make a rollback undone
	}
	r.state.Hold = hold
	if err := r.saveState(); err != nil {
		return err
	}
	r.recordHold(hold)
	return nil
}

// recordHold puts a hold, or its end, into the history. It is no run, and leaves
// the last report as it is.
func (r *run) recordHold(hold *state.Hold) {
	r.describe(converge.Outcome{Verdict: report.Held})
	if hold == nil {
		r.report.Command, r.report.Verdict = "unhold", ""
	} else {
		r.because(*hold)
	}
	_ = r.report.Note(r.dirs.state) // the hold counts all the same
}

// because puts the hold's reason into the report.
func (r *run) because(hold state.Hold) {
	r.report.Reason, r.report.Until = hold.Reason, hold.Until
}

// held is why this machine keeps its release, if it does.
func (r *run) held() (reason string, held bool) {
	if r.state.Hold.Active(r.Now()) {
		return r.state.Hold.Reason, true
	}
	return r.Config.HoldTag, r.Config.HoldTag != ""
}
