package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/store"
)

// run is one Boot or Sync while it lasts.
type run struct {
	*Agent
	config *config.Config // Files, and later the tags too
	who    instance.Identity
	cloud  Cloud
	state  state.State

	steps  *report.Timeline
	report report.Report

	pin   string      // the version that is asked for in place of the channel's, "" = none
	rate  config.Rate // of the download; 0 = without a limit, as at launch
	force bool        // what serves already is verified and started anew

	up        string // the ID of the release that is known to be up and healthy, "" = none
	installed bool   // this run has installed a release

	known    func() (*artifacts.VerifiedPointer, error) // what was read of the channel just now; nil = nothing
	waiting  launchHook                                 // nil = no hook waits for this run
	jittered bool                                       // it has waited for its turn
}

// outcome is how a run ends. err is nil where the exit code is 0; cause is why
// a stale release serves all the same.
type outcome struct {
	verdict report.Verdict
	err     error
	cause   error
}

func failed(err error) outcome { return outcome{verdict: report.Failed, err: err} }

func (a *Agent) begin(command string) *run {
	return &run{
		Agent:  a,
		config: a.Files,
		steps:  report.NewTimeline(a.Observe),
		report: report.Report{Agent: a.Version, Command: command, App: a.Files.App},
	}
}

// limit gives a run its time.
func (a *Agent) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, time.Duration(a.Files.Lifecycle.Deadline), failure.ErrDeadline)
}

// lock makes this the only run of the app on the machine, and reads what the
// last one left.
func (r *run) lock(ctx context.Context, wait bool) (unlock func(), err error) {
	unlock, err = state.Lock(ctx, r.Run, r.report.Command, wait)
	if err != nil {
		return nil, err
	}
	if err := r.loadState(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// loadState reads the cached state. What is lost of it is learnt again: the
// sequences are in the pointers that are stored with the releases.
func (r *run) loadState() error {
	loaded, damage, err := state.Load(r.State)
	if err != nil {
		return err
	}
	if damage != nil {
		r.warn("what %s has lost is learnt again from the installed releases: %v", state.File, damage)
	}
	r.state = loaded
	return r.learnSequences()
}

// discover asks who this machine is and what its tags choose. The clients come
// before the tags: their credentials are on the way meanwhile.
func (r *run) discover(ctx context.Context) error {
	return r.steps.Do(ctx, "discover", func(ctx context.Context, _ *report.Span) error {
		who, err := r.Machine.Identity(ctx)
		if err != nil {
			return err
		}
		r.who, r.state = who, r.state.For(who.ID)
		if r.cloud, err = r.Connect(r.Files, who); err != nil {
			return err
		}
		tags, err := r.Machine.Tags(ctx, config.TagChannel, config.TagHold, config.TagGroup)
		if err := r.tolerateTags(err); err != nil {
			return err
		}
		r.configure(tags)
		return nil
	})
}

// tolerateTags lets a machine without readable tags go on with what is baked.
func (r *run) tolerateTags(err error) error {
	switch {
	case errors.Is(err, instance.ErrTagsOff):
		return nil
	case errors.Is(err, instance.ErrHostileTag):
		r.warn("%v", err)
		return nil
	}
	return err
}

func (r *run) configure(tags map[string]string) {
	effective, warnings := r.Files.WithTags(tags)
	r.config = effective
	for _, w := range warnings {
		r.warn("%s", w)
	}
}

func (r *run) warn(format string, args ...any) {
	text := report.Clean(fmt.Sprintf(format, args...), 500)
	if !slices.Contains(r.report.Warnings, text) { // once is enough
		r.report.Warnings = append(r.report.Warnings, text)
	}
}

// refuse ends a run that never had the lock: the report of the one that has it
// stays.
func (r *run) refuse(err error) (report.Report, error) {
	r.report.Verdict, r.report.Error = report.Failed, r.Explain(err)
	return r.report, err
}

// end completes the report and leaves it in the state directory.
func (r *run) end(ctx context.Context, out outcome) (report.Report, error) {
	if out.err != nil {
		out.err = because(endedBy(ctx), out.err)
	}
	r.describe(out)
	err := errors.Join(r.report.Save(r.State), report.Remember(r.State, r.report))
	if err != nil && out.err == nil {
		out.err = fmt.Errorf("report: %w: %w", store.ErrDisk, err)
	}
	return r.report, out.err
}

// endedBy tells the deadline and an interruption from whatever failed because
// of them.
func endedBy(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, failure.ErrDeadline):
		return failure.ErrDeadline
	}
	return failure.ErrInterrupted
}

// because puts the reason before what failed for it.
func because(reason, err error) error {
	if reason == nil || errors.Is(err, reason) {
		return err
	}
	return fmt.Errorf("%w: %w", reason, err)
}

func (r *run) describe(out outcome) {
	rep := &r.report
	rep.Channel, rep.Verdict = r.config.Channel, out.verdict
	r.steps.Fill(rep)
	rep.Instance.ID, rep.Instance.Region, rep.Instance.AZ = r.who.ID, r.who.Region, r.who.AZ
	rep.Instance.Group = r.config.Lifecycle.Group
	if current, found, err := r.Store.Current(); found && err == nil {
		rep.Release = r.describeInstalled(current)
		rep.Release.Healthy = r.up == current.ID()
	}
	if previous, found, err := r.Store.Previous(); found && err == nil {
		rep.Previous = r.describeInstalled(previous)
	}
	if err := errors.Join(out.err, out.cause); err != nil {
		rep.Error = r.Explain(err)
	}
}

// describeInstalled gives the sequence that the run's own channel has the
// release at.
func (r *run) describeInstalled(rel store.Release) *report.Release {
	out := &report.Release{Version: rel.Version(), ManifestSHA256: rel.ManifestSHA256().String(), ActivatedAt: rel.HealthySince()}
	if seen, ok := rel.SeenOn(r.config.Channel); ok {
		out.Sequence = seen.Pointer.Sequence().Number
	}
	return out
}

// recordSignal makes durable that this instance has been through its launch.
func (r *run) recordSignal(result string) error {
	r.state.Instance = r.who.ID
	r.state.Signalled = &state.Signal{Result: result, At: r.Now().UTC().Truncate(time.Second)}
	return r.state.Save(r.State)
}
