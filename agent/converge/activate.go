package converge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/agent/state"
	"koboshi/artifacts"
	"koboshi/artifacts/durable"
	"koboshi/artifacts/store"
)

// envFile is what the app's unit reads by EnvironmentFile=.
const envFile = "env"

const envMode fs.FileMode = 0o644

// The hooks of a release, in the order in which they run.
const (
	preStart  = "pre_start"  // in its own tree, while the release before still runs
	preStop   = "pre_stop"   // of the release that runs now, before it is stopped
	postStart = "post_start" // once it is healthy
)

// Activate runs the app from rel and waits until it is healthy and its
// post_start hook has succeeded. Only then is the release marked as one that was
// healthy here.
func (r *Run) Activate(ctx context.Context, rel store.Release) error {
	if err := r.mayRun(rel); err != nil {
		return err
	}
	rel, err := r.prove(ctx, rel)
	if err != nil {
		return err
	}
	gate, err := r.start(ctx, rel, func() error { return r.Store.Activate(rel) })
	if err != nil {
		return err
	}
	if err := r.gate(ctx, rel, gate); err != nil {
		return err
	}
	return r.passed(ctx, rel)
}

// passed is what follows the gate.
func (r *Run) passed(ctx context.Context, rel store.Release) error {
	if err := r.hook(ctx, rel, postStart, rel.Manifest().Manifest().Hooks.PostStart); err != nil {
		return err
	}
	r.up = rel.ID()
	return r.markHealthy(rel)
}

// gate waits until the app is healthy and has stayed so.
func (r *Run) gate(ctx context.Context, rel startable, wait service.Gate) error {
	return r.Steps.Do(ctx, "gate", func(ctx context.Context, s *report.Span) error {
		s.Note(r.noteOf(rel))
		found, err := wait(ctx, rel.Manifest().Manifest().Health)
		s.SetAttempts(found.Attempts)
		if found.Note != "" {
			r.Warn("%s", found.Note)
		}
		return err
	})
}

// noteOf is which release a step is about. One that is not the target is put back,
// or stands in for it.
func (r *Run) noteOf(rel startable) string {
	if r.target != nil && r.target.Manifest.SHA256() != rel.ManifestSHA256() {
		return "back to " + rel.Version()
	}
	return rel.Version()
}

// markHealthy records that the release passed the gate here.
func (r *Run) markHealthy(rel store.Release) error {
	place := store.Place{Instance: r.Instance.ID, Region: r.Instance.Region, AZ: r.Instance.AZ, Channel: r.Config.Channel}
	return r.recorded(rel, r.Store.MarkHealthy(rel, place, r.Now().UTC().Truncate(time.Second)))
}

// recorded makes a warning of what could not be written about a release that
// was healthy here before: a disk that has become read-only keeps nothing from
// running that ran from it.
func (r *Run) recorded(rel startable, err error) error {
	if err == nil || !rel.HealthyOn(r.Instance.ID) {
		return err
	}
	r.Warn("%s ran here before and runs again, although this could not be recorded: %v", rel.Version(), err)
	return nil
}

// mayRun is asked of every release before it is started, whichever way it was
// chosen: by the channel, by version, as a fallback, by rollback or after a
// reboot. Its manifest was verified when the store loaded it.
func (r *Run) mayRun(rel startable) error {
	channel := r.Config.Channel
	floor, sequence := r.Config.Trust.Floor[channel], int64(0)
	if seen, ok := r.seen(rel); ok {
		sequence = seen.Pointer.Sequence().Number
	}
	if t := r.target; t != nil && t.Pointer != nil && t.Manifest.SHA256() == rel.ManifestSHA256() {
		sequence = t.Pointer.Sequence().Number
	}
	if sequence < floor {
		return fmt.Errorf("%w: %s has sequence %d of channel %s, trust.floor is %d", artifacts.ErrUntrusted, rel.Version(), sequence, channel, floor)
	}
	return nil
}

// seen is the pointer of the run's channel to a release, if that had it for all
// instances or for this one: a rollout that only others were in, as on the machine
// that an AMI was made of, is none here.
func (r *Run) seen(rel startable) (store.Sighting, bool) {
	seen, ok := rel.SeenOn(r.Config.Channel)
	if !ok {
		return store.Sighting{}, false
	}
	p, sum := seen.Pointer.Pointer(), rel.ManifestSHA256()
	if p.ManifestSHA256 != sum && p.Choose(r.Instance.ID).ManifestSHA256 != sum {
		return store.Sighting{}, false
	}
	return seen, true
}

// Reinstate activates an earlier release, once its tree is what was published.
func (r *Run) Reinstate(ctx context.Context, rel store.Release) error {
	t := Target{Manifest: rel.Manifest()}
	if seen, ok := r.seen(rel); ok {
		t.Pointer, t.Seen = seen.Pointer, seen.Seen
	}
	r.target = &t
	rel, err := r.verify(ctx, rel)
	if err != nil {
		return err
	}
	return r.Activate(ctx, rel)
}

// start runs the app from rel in place of what ran before. Nothing is touched
// until it is clear that it can be started, and the pre_start hook has succeeded.
// link makes it current.
func (r *Run) start(ctx context.Context, rel startable, link func() error) (gate service.Gate, err error) {
	if err := r.Service.Check(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrActivate, err)
	}
	if err := r.holdNode(ctx); err != nil {
		return nil, err
	}
	if err := r.hook(ctx, rel, preStart, rel.Manifest().Manifest().Hooks.PreStart); err != nil {
		return nil, err
	}
	r.runPreStop(ctx)
	if err := context.Cause(ctx); errors.Is(err, state.ErrLeaving) {
		return nil, err // it is to be stopped, and by the drain
	}
	err = r.Steps.Do(ctx, "activate", func(ctx context.Context, s *report.Span) (err error) {
		s.Note(r.noteOf(rel))
		gate, err = r.activate(ctx, rel, link)
		if err != nil {
			return fmt.Errorf("%w: %w", service.ErrActivate, err)
		}
		return nil
	})
	return gate, err
}

func (r *Run) activate(ctx context.Context, rel startable, link func() error) (service.Gate, error) {
	r.up = ""
	err := link()
	if err != nil {
		if current, found := r.Current(); found && current.ID() == rel.ID() {
			err = r.recorded(rel, err)
		}
	}
	if err == nil {
		err = r.standDown(ctx)
	}
	if err == nil && !r.writtenAsIs(rel) {
		err = r.recorded(rel, r.writeEnv(rel))
	}
	if err != nil {
		return nil, err
	}
	r.appEnv = string(r.envText(rel))
	return r.Service.Restart(ctx, r.environment(rel))
}

func (r *Run) envText(rel startable) []byte {
	return []byte(strings.Join(r.environment(rel), "\n") + "\n")
}

// errNoRunDir is a run directory that could not be opened.
var errNoRunDir = fmt.Errorf("%w: there is no run directory", state.ErrDisk)

func (r *Run) writeEnv(rel startable) error {
	if r.RunDir == nil {
		return errNoRunDir
	}
	if err := durable.WriteFile(r.RunDir, envFile, r.envText(rel), envMode); err != nil {
		return fmt.Errorf("%w: %w", state.ErrDisk, err)
	}
	return nil
}

// knows reports whether the app has the environment of rel already: by its file,
// or where that could not be written from this run. A file of another mode is
// written again.
func (r *Run) knows(rel startable) bool {
	return lasting(r.envNow()) == lasting(string(r.envText(rel)))
}

// writtenAsIs is knows for an app that is started now.
func (r *Run) writtenAsIs(rel startable) bool { return r.envNow() == string(r.envText(rel)) }

func (r *Run) envNow() string {
	if r.RunDir != nil {
		info, err := r.RunDir.Lstat(envFile)
		if file, readErr := r.RunDir.ReadFile(envFile); err == nil && readErr == nil {
			if info.Mode() != envMode {
				return ""
			}
			return string(file)
		}
	}
	return r.appEnv
}

// environment is koboshi's variables for the app. Every value was checked against a
// grammar without spaces or quotes.
func (r *Run) environment(rel startable) []string {
	return append([]string{
		"KOBOSHI_APP=" + r.Config.App,
		"KOBOSHI_CHANNEL=" + r.Config.Channel,
		"KOBOSHI_VERSION=" + rel.Version(),
		"KOBOSHI_MANIFEST_SHA256=" + rel.ManifestSHA256().String(),
		"KOBOSHI_INSTANCE_ID=" + r.Instance.ID,
		"KOBOSHI_REGION=" + r.Instance.Region,
		"KOBOSHI_AZ=" + r.Instance.AZ,
	}, r.nodeEnv()...)
}

// hook runs one of a release's hooks as a step of its own, if it has that hook.
func (r *Run) hook(ctx context.Context, rel startable, name string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return r.Steps.Do(ctx, name, func(ctx context.Context, _ *report.Span) error {
		return r.runHook(ctx, rel, name, args)
	})
}

func (r *Run) runHook(ctx context.Context, rel startable, name string, args []string) error {
	h := service.Hook{Name: name, Version: rel.Version(), Dir: rel.Dir(), Args: args, Env: r.environment(rel)}
	if err := r.Service.RunHook(ctx, h); err != nil {
		return fmt.Errorf("%w %s of %s: %w", service.ErrHook, name, rel.Version(), err)
	}
	return nil
}

// runPreStop runs the pre_stop hook of the release that is about to be stopped.
// It is stopped in any case: what is wrong with its hook is a warning. What is only
// reloaded is not stopped.
func (r *Run) runPreStop(ctx context.Context) {
	leaving, found := r.Current()
	if !found || r.up != leaving.ID() || r.Config.Service.Reload {
		return
	}
	if err := r.hook(ctx, leaving, preStop, leaving.Manifest().Manifest().Hooks.PreStop); err != nil {
		r.Warn("%s is stopped all the same: %v", leaving.Version(), err)
	}
}

// PreStop runs the pre_stop hook of the current release, which is to be stopped for
// good. found reports whether it has such a hook.
func (r *Run) PreStop(ctx context.Context) (found bool, err error) {
	leaving, found := r.Current()
	if !found {
		return false, nil
	}
	hook := leaving.Manifest().Manifest().Hooks.PreStop
	if len(hook) == 0 {
		return false, nil
	}
	return true, r.runHook(ctx, leaving, preStop, hook)
}
