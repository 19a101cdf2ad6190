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
	"koboshi/agent/instance"
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
	cloud         Cloud
	state         state.State
	report        report.Report

	action   func() (lifecycle.Action, error) // what waits for this launch and what is not known about it; nil = not a launch
	jittered bool                             // CONTINUE was held back
}

func (a *Agent) begin(command string) *run {
	r := &run{agent: a, report: report.Report{Agent: a.Version, Command: command, App: a.Files.App}}
	r.Run = &converge.Run{
		Config: a.Files, Store: a.Store, Service: a.Service, RunDir: a.RunDir,
		Admit: r.admit, Steps: report.NewTimeline(a.Observe), Now: a.Now, Warn: r.warn,
	}
	r.UseDelta = a.Files.Install.Delta == config.DeltaAlways || a.Files.Install.Delta == config.DeltaSync && (command == "sync" || command == "plan")
	return r
}

// limit gives a run its time.
func (a *Agent) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, time.Duration(a.Files.Lifecycle.Deadline), failure.ErrDeadline)
}

// lock makes this the only run of the app on the machine, and reads what the
// last one left.
func (r *run) lock(ctx context.Context, wait bool) (unlock func(), err error) {
	unlock, err = state.Lock(ctx, r.agent.RunDir, r.report.Command, wait)
	if err != nil {
		return nil, err
	}
	if err := r.loadState(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// loadState reads the cached state. What it has lost of the sequences is in the
// pointers that are stored with the installed releases.
func (r *run) loadState() error {
	loaded, warning, err := state.Load(r.agent.StateDir)
	if err != nil {
		return err
	}
	if warning != nil {
		r.warn("what %s has lost is learnt again from the installed releases: %v", state.File, warning)
	}
	r.state = loaded
	releases, err := r.Store.Releases()
	if err != nil {
		return err
	}
	for _, rel := range releases {
		for _, seen := range rel.Pointers() {
			channel, sequence := seen.Pointer.Pointer().Channel, seen.Pointer.Sequence()
			if r.state.Sequence(channel).Number < sequence.Number {
				r.state.SetSequence(channel, sequence)
			}
		}
	}
	return nil
}

// admit is [converge.Run.Admit].
func (r *run) admit(p *artifacts.VerifiedPointer) error {
	channel := p.Pointer().Channel
	if err := r.state.Sequence(channel).Admit(p.Sequence(), r.Config.Trust.Floor[channel]); err != nil {
		return err
	}
	r.state.SetSequence(channel, p.Sequence())
	if err := r.state.Save(r.agent.StateDir); err != nil {
		return fmt.Errorf("record the sequence: %w", err)
	}
	return nil
}

// discover asks who this machine is and what its tags choose. The clients are
// made before the tags are read: their credentials are fetched meanwhile.
func (r *run) discover(ctx context.Context) error {
	return r.Steps.Do(ctx, "discover", func(ctx context.Context, _ *report.Span) error {
		who, err := r.agent.Machine.Identity(ctx)
		if err != nil {
			return err
		}
		r.Instance, r.state = who, r.state.For(who.ID)
		if err := r.connect(r.agent.Files, who); err != nil {
			return err
		}
		tags, err := r.agent.Machine.Tags(ctx, config.TagChannel, config.TagHold, config.TagGroup)
		switch {
		case errors.Is(err, instance.ErrTagsOff):
		case errors.Is(err, instance.ErrHostileTag):
			r.warn("%v", err)
		case err != nil:
			return err
		}
		effective, warnings := r.agent.Files.WithTags(tags)
		r.Config = effective
		for _, w := range warnings {
			r.warn("%s", w)
		}
		return nil
	})
}

func (r *run) connect(cfg *config.Config, who instance.Identity) (err error) {
	r.cloud, err = r.agent.Connect(cfg, who)
	r.Releases, r.Artifacts = r.cloud.Releases, r.cloud.Artifacts
	return err
}

func (r *run) warn(format string, args ...any) {
	text := report.Clean(fmt.Sprintf(format, args...), 500)
	if !slices.Contains(r.report.Warnings, text) { // once is enough
		r.report.Warnings = append(r.report.Warnings, text)
	}
}

// refuse ends a run that never had the lock. It leaves no report: the last one
// stays.
func (r *run) refuse(err error) (report.Report, error) {
	r.report.Verdict, r.report.Error = report.Failed, failure.Explain(err)
	return r.report, err
}

// end completes the report and leaves it in the state directory.
func (r *run) end(ctx context.Context, out converge.Outcome) (report.Report, error) {
	if out.Err != nil {
		out.Err = converge.Because(converge.EndedBy(ctx), out.Err)
	}
	r.describe(out)
	if err := r.report.Save(r.agent.StateDir); err != nil && out.Err == nil {
		out.Err = fmt.Errorf("report: %w: %w", store.ErrDisk, err)
	}
	return r.report, out.Err
}

func (r *run) describe(out converge.Outcome) {
	rep := &r.report
	rep.Channel, rep.Verdict = r.Config.Channel, out.Verdict
	r.Steps.Fill(rep)
	rep.Instance = report.Instance{ID: r.Instance.ID, Region: r.Instance.Region, AZ: r.Instance.AZ, Group: r.Config.Lifecycle.Group}
	if t := r.Target(); t != nil {
		rep.Target = t.Describe()
	}
	if current, found, err := r.Store.Current(); found && err == nil {
		rep.Release = r.Describe(current)
		rep.Release.Healthy = r.Up(current)
	}
	if previous, found, err := r.Store.Previous(); found && err == nil {
		rep.Previous = r.Describe(previous)
	}
	if err := errors.Join(out.Err, out.Cause); err != nil {
		rep.Error = failure.Explain(err)
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

// share is this machine's share of a time over which a fleet is spread. It
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

// prune removes releases that are no longer kept. It comes last: deleting a tree
// slows the disk down for everything that still waits.
func (r *run) prune(ctx context.Context) {
	err := r.Steps.Do(ctx, "prune", func(ctx context.Context, _ *report.Span) error {
		_, err := r.Store.Prune(ctx, r.Config.Install.Keep)
		return err
	})
	if err != nil {
		r.warn("old releases could not be removed: %v", err)
	}
}
