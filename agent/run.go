package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/converge"
	"koboshi/agent/failure"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/pace"
	"koboshi/artifacts/store"
)

// run is one command of the agent while it lasts.
type run struct {
	*converge.Run // its Config is the files', and later has the tags too
	agent         *Agent
	dirs          dirs
	unlock        func() // nil while another run may work on the machine
	cloud         Cloud
	state         state.State
	stateErr      error // why it could not be read
	stateLost     bool  // it is not this instance's
	report        report.Report
	trouble       error // what has failed of a boot already

	action       func() (lifecycle.Action, error) // what waits for this launch, and what is not known about it; nil = not a launch
	targetState  func() (string, error)           // of the instance, as it was asked for ahead; nil = it was not
	pooled       bool                             // the instance is in a warm pool, or goes into it
	jittered     bool                             // CONTINUE was held back
	stackOver    bool                             // the stack does not wait
	startedAgain bool                             // what was healthy here was started, before anything else
	stopErr      error                            // why the app could not be stopped for a drain
}

func (a *Agent) begin(command string) *run {
	r := &run{agent: a, report: report.Report{Schema: report.Schema, Agent: a.Version, Command: command, App: a.Files.App, By: a.By}}
	r.Run = &converge.Run{
		Config: a.Files, Service: a.Service,
		Admit: r.admit, Steps: report.NewTimeline(a.Observe), Now: a.Now, Warn: r.warn,
	}
	if r.Node = a.node(r.warn); r.Node != nil {
		r.Node.Patient = command == "boot" && a.Files.NodeID.Required // nothing runs that could go on
	}
	r.UseDelta = a.Files.Install.Delta == config.DeltaAlways || a.Files.Install.Delta == config.DeltaSync && (command == "sync" || command == "plan")
	return r
}

// limit gives a run its time.
func (a *Agent) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, time.Duration(a.Files.Lifecycle.Deadline), failure.ErrDeadline)
}

// staying returns a context that ends when the instance is drained.
func (a *Agent) staying(ctx context.Context) (context.Context, context.CancelFunc) {
	staying, leave := context.WithCancelCause(ctx)
	if err := state.Leaving(a.Files.State.Run); err != nil {
		leave(err)
	}
	go a.awaitLeaving(staying, leave)
	return staying, func() { leave(nil) }
}

// awaitLeaving ends a run within a second of the beginning of a drain.
func (a *Agent) awaitLeaving(ctx context.Context, leave context.CancelCauseFunc) {
	for pace.Sleep(ctx, time.Second) == nil {
		if err := state.Leaving(a.Files.State.Run); err != nil {
			leave(err)
		}
	}
}

// admit is [converge.Run.Admit].
func (r *run) admit(p *artifacts.VerifiedPointer) error {
	channel := p.Pointer().Channel
	if err := r.state.Sequence(channel).Admit(p.Sequence(), r.Config.Trust.Floor[channel]); err != nil {
		return err
	}
	r.state.SetSequence(channel, p.Sequence())
	if err := r.saveState(); err != nil {
		return fmt.Errorf("record the sequence: %w", err)
	}
	return nil
}

// prepare is the beginning of every run on a live machine: its places on the
// disk, the lock, and who and what this machine is.
func (r *run) prepare(ctx context.Context, wait bool) error {
	if err := r.open(); err != nil {
		return err
	}
	return r.lock(ctx, wait)
}

func (r *run) warn(format string, args ...any) {
	text := report.Clean(fmt.Sprintf(format, args...), 500)
	if !slices.Contains(r.report.Warnings, text) { // once is enough
		r.report.Warnings = append(r.report.Warnings, text)
	}
}

// refuse ends a run that never had the lock. It is not recorded: the last report
// stays.
func (r *run) refuse(err error) (report.Report, error) {
	r.describe(converge.Outcome{Verdict: report.Failed, Err: err})
	if !errors.Is(err, state.ErrLocked) && !errors.Is(err, state.ErrLeaving) { // a timer meets both again and again
		r.notify()
	}
	return r.report, err
}

// end removes what is no longer kept, however the run has ended, and leaves its
// report. What cannot be recorded is a warning: the app runs or not.
func (r *run) end(out converge.Outcome) (report.Report, error) {
	r.describe(out)
	r.reportHealth(out)                                                 // before anything that takes time: what is replaced, or drained, may have seconds
	if !errors.Is(out.Err, state.ErrLeaving) && r.report.Drain == nil { // a drain waits for the lock, or is over with this
		r.prune()
	}
	r.wantNode(out)
	r.describe(out)
	if r.dirs.state != nil {
		if err := r.report.Save(r.dirs.state); err != nil {
			r.warn("the report could not be saved: %v", err)
		}
	}
	r.release()
	r.notify()
	return r.report, out.Err
}

// notify runs the operator's command with the report as it was saved. It comes
// last, when nothing waits for this run any more: not systemd, not a lifecycle
// action, and not another run. It has its own time limit, also after a run that was
// interrupted or had no time left.
func (r *run) notify() {
	cfg := r.agent.Files.Notify
	if len(cfg.Command) == 0 || r.report.Command == "prebake" { // the machine that bakes is not the one to report of
		return
	}
	text, err := r.report.Encode()
	if err == nil {
		limited, cancel := context.WithTimeout(context.Background(), time.Duration(cfg.Timeout)+notifyGrace)
		defer cancel()
		err = r.agent.Notify(limited, text)
	}
	if err != nil {
		r.warn("notify.command failed: %v", err)
	}
}

// notifyGrace is for starting and stopping the command.
const notifyGrace = 5 * time.Second

func (r *run) describe(out converge.Outcome) {
	rep := &r.report
	rep.Channel, rep.Verdict = r.Config.Channel, out.Verdict
	r.Steps.Fill(rep)
	rep.Instance = report.Instance{ID: r.Instance.ID, Region: r.Instance.Region, AZ: r.Instance.AZ, Group: r.Config.Lifecycle.Group}
	if t := r.Target(); t != nil {
		rep.Target = t.Describe()
	}
	rep.Rollout = r.Rollout()
	r.describeDisk(rep)
	r.describeNode(rep)
	if err := errors.Join(out.Err, out.Cause); err != nil {
		rep.Error = failure.Explain(err)
	}
}

// describeDisk reports the releases on the disk, as far as they can be read.
func (r *run) describeDisk(rep *report.Report) {
	if r.Store == nil {
		rep.Unseen = true
		return
	}
	current, found, err := r.Store.Current()
	switch {
	case errors.Is(err, store.ErrDisk):
		rep.Unseen = true
	case found && err == nil:
		rep.Release = r.Describe(current)
		rep.Release.Healthy = r.Up(current)
	}
	if previous, found, err := r.Store.Previous(); found && err == nil {
		rep.Previous = r.Describe(previous)
	}
}

// pause is a step that only waits. It ends early with ctx.
func (r *run) pause(ctx context.Context, name string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	r.agent.Waits(name, d)
	return r.Steps.Do(ctx, name, func(ctx context.Context, _ *report.Span) error { return pace.Sleep(ctx, d) })
}

// share is this machine's share of a time over which a fleet is distributed. It
// follows from the instance id, so it is the same at every try.
func (r *run) share(of time.Duration) time.Duration {
	return time.Duration(pace.Share(r.Instance.ID, 0) * float64(of)).Round(time.Millisecond)
}

// ready lets systemd start what is ordered after the boot.
func (r *run) ready() {
	if err := r.agent.Ready(); err != nil {
		r.warn("systemd could not be notified: %v", err)
	}
}

// pruneTime bounds pruning, which also comes after a deadline or an interruption:
// runs that always end so would fill the disk.
const pruneTime = 30 * time.Second

// prune removes releases that are no longer kept. It comes last: deleting a tree
// slows the disk down for everything that still waits. The target stays where it
// could not be reached: the next run is not to fetch it again.
func (r *run) prune() {
	if r.unlock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pruneTime)
	defer cancel()
	var needed []*artifacts.VerifiedManifest
	if t := r.Target(); t != nil {
		needed = append(needed, t.Manifest)
	}
	err := r.Steps.Do(ctx, "prune", func(ctx context.Context, _ *report.Span) error {
		_, err := r.Store.Prune(ctx, r.Config.Install.Keep, needed...)
		return err
	})
	if err != nil {
		r.warn("old releases could not be removed: %v", err)
	}
}
