package agent_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/systemd"
)

var allHooks = artifacts.Hooks{
	PreStart: []string{"web", "migrate"}, PostStart: []string{"web", "check", "--deep"}, PreStop: []string{"web", "drain"},
}

// hooked is a world whose releases have every hook.
func hooked(t *testing.T) *world {
	w := newWorld(t)
	w.hooks = allHooks
	w.hookFails = map[string]error{}
	w.release("1")
	return w
}

// happened asserts what was run, and in which order, and forgets it.
func (w *world) happened(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.story, want) {
		t.Errorf("it went\n%q, want\n%q", w.story, want)
	}
	w.story = nil
}

// Where the units cannot be started nothing is touched: no hook runs, and the release
// before goes on.
func TestNothingIsTouchedWithoutUnits(t *testing.T) {
	w := hooked(t)
	live(w)
	w.story, w.unusable = nil, systemd.ErrNoUnit
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Failed, systemd.ErrNoUnit, "1", "1", nil})
	w.happened(t)
	if failure.CodeOf(err) != failure.Activate || w.current() != "1" {
		t.Errorf("code %d, current %s", failure.CodeOf(err), w.current())
	}
	w.unusable = nil
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Current, nil, "2", "2", nil})
}

// What is reloaded is not stopped.
func TestNoPreStopBeforeReload(t *testing.T) {
	w := hooked(t)
	w.reload = true
	live(w)
	w.story = nil
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
	w.happened(t, "pre_start 2", "restart 2", "gate 2", "post_start 2")
}

func TestHooksOfEveryStart(t *testing.T) {
	w := hooked(t)
	live(w)
	w.happened(t, "pre_start 1", "restart 1", "gate 1", "post_start 1")

	rep, err := w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
	w.happened(t, "pre_start 2", "pre_stop 1", "restart 2", "gate 2", "post_start 2")
	var steps []string
	for _, s := range rep.Steps {
		steps = append(steps, s.Name)
	}
	if got := strings.Join(steps, " "); got != "discover configure resolve install pre_start pre_stop activate gate post_start recheck prune" {
		t.Errorf("steps %s", got)
	}

	if _, err := w.sync(); err != nil {
		t.Error(err)
	}
	w.happened(t) // it is running already

	if _, err := w.boot(); err != nil {
		t.Error(err)
	}
	w.happened(t, "pre_start 2", "restart 2", "gate 2", "post_start 2") // nothing is to be stopped after a reboot

	if _, err := w.syncWith(agent.SyncOptions{Force: true, Version: "2"}); err != nil {
		t.Error(err)
	}
	w.story = slices.DeleteFunc(w.story, func(s string) bool { return strings.HasPrefix(s, "gate") })
	w.happened(t, "pre_start 2", "pre_stop 2", "restart 2", "post_start 2")

	if _, err := w.rollback(); err != nil {
		t.Error(err)
	}
	w.happened(t, "pre_start 1", "pre_stop 2", "restart 1", "gate 1", "post_start 1")
}

func TestHooksThatFail(t *testing.T) {
	denied := errors.New("exit status 3: no such column")
	for _, tt := range []struct {
		hook  string
		want  result
		story []string
	}{
		{"pre_start 2", result{report.Failed, service.ErrHook, "1", "1", nil}, []string{"pre_start 2"}}, // nothing was touched
		{"post_start 2", result{report.Failed, service.ErrHook, "1", "1", nil}, []string{
			"pre_start 2", "pre_stop 1", "restart 2", "gate 2", "post_start 2", "pre_start 1", "restart 1", "gate 1", "post_start 1"}},
		{"pre_stop 1", result{report.Fresh, nil, "2", "2", nil}, []string{"pre_start 2", "pre_stop 1", "restart 2", "gate 2", "post_start 2"}},
	} {
		t.Run(tt.hook, func(t *testing.T) {
			w := hooked(t)
			live(w)
			w.story, w.hookFails[tt.hook] = nil, denied
			rep, err := w.sync()
			w.check(t, rep, err, tt.want)
			w.happened(t, tt.story...)
			told := strings.Join(rep.Warnings, "\n")
			if err != nil {
				told = rep.Error.Message
			}
			if name, version, _ := strings.Cut(tt.hook, " "); !strings.Contains(told, name+" of "+version+": "+denied.Error()) {
				t.Errorf("the report has %q", told)
			}
			if !rep.Release.Healthy {
				t.Error("the report does not have the running release as healthy")
			}
		})
	}
}

// At launch a hook that fails counts like a release that does not start.
func TestHooksThatFailAtLaunch(t *testing.T) {
	for _, hook := range []string{"pre_start 2", "post_start 2"} {
		t.Run(hook, func(t *testing.T) {
			w := hooked(t)
			baked(w)
			w.hookFails[hook] = errors.New("exit status 1")
			rep, err := w.boot()
			w.check(t, rep, err, result{report.Failed, service.ErrHook, "1", "1", giveUp})
		})
		t.Run(hook+", allowed", func(t *testing.T) {
			w := hooked(t)
			baked(w)
			w.hookFails[hook], w.when = errors.New("exit status 1"), []string{config.Unhealthy}
			rep, err := w.boot()
			w.check(t, rep, err, result{report.Stale, nil, "1", "1", goOn})
		})
	}
}

// A release that came up in the first round stays up when the next one's
// pre_start fails in the second.
func TestPreStartOfTheSecondRound(t *testing.T) {
	w := hooked(t)
	w.hookFails["pre_start 2"] = errors.New("exit status 1")
	w.onPointer = func(n int) {
		if n == 2 {
			w.release("2")
		}
	}
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Failed, service.ErrHook, "1", "1", giveUp})
	w.happened(t, "pre_start 1", "restart 1", "gate 1", "post_start 1", "pre_start 2")
}

// A rollback whose hook fails leaves the app alone, too.
func TestPreStartOfARollback(t *testing.T) {
	w := hooked(t)
	twice(w)
	w.story, w.hookFails["pre_start 1"] = nil, errors.New("exit status 1")
	rep, err := w.rollback()
	w.check(t, rep, err, result{report.Failed, service.ErrHook, "2", "2", nil})
	w.happened(t, "pre_start 1")
	if !rep.Release.Healthy {
		t.Error("the report does not know that the app was left alone")
	}
}

// A hook runs in its own release's tree, with its own release's environment.
func TestEnvironmentOfHooks(t *testing.T) {
	w := hooked(t)
	live(w)
	told := map[string]service.Hook{}
	w.onHook = func(h service.Hook) { told[h.Name] = h }
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		version string
		args    []string
	}{
		"pre_start": {"2", allHooks.PreStart}, "pre_stop": {"1", allHooks.PreStop}, "post_start": {"2", allHooks.PostStart},
	} {
		h := told[name]
		dir, err := filepath.Rel(filepath.Join(w.dir, "opt/releases"), h.Dir)
		if h.Version != want.version || !slices.Equal(h.Args, want.args) || err != nil || !strings.HasPrefix(dir, want.version+"-") {
			t.Errorf("%s: %+v", name, h)
		}
		if !slices.Contains(h.Env, "KOBOSHI_VERSION="+want.version) || !slices.Contains(h.Env, "KOBOSHI_INSTANCE_ID="+self) || len(h.Env) != 7 {
			t.Errorf("%s: environment %q", name, h.Env)
		}
	}
}

// An interruption during pre_start has changed nothing; after one during
// post_start the previous release is put back, with a time limit of its own.
func TestHooksThatAreInterrupted(t *testing.T) {
	for hook, last := range map[string]string{"pre_start": "pre_start 2", "post_start": "post_start 1"} {
		w := hooked(t)
		live(w)
		ctx, cancel := context.WithCancel(t.Context())
		w.onHook = func(h service.Hook) {
			if h.Name == hook && h.Version == "2" {
				cancel()
			}
		}
		rep, err := w.run(ctx, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
			return a.Sync(ctx, agent.SyncOptions{})
		})
		w.check(t, rep, err, result{report.Failed, failure.ErrInterrupted, "1", "1", nil})
		if got := w.story[len(w.story)-1]; got != last {
			t.Errorf("%s was interrupted, and the last to run was %s", hook, got)
		}
	}
}

// A hook of a tree whose manifest no longer verifies is not run.
func TestHooksOfAnUntrustedManifest(t *testing.T) {
	w := hooked(t)
	live(w)
	w.story = nil
	key, err := artifacts.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	w.key = key // the old one is no longer trusted
	w.publish("3")
	w.sequence += 10
	w.promote("3", time.Time{})
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Fresh, nil, "3", "3", nil})
	w.happened(t, "pre_start 3", "restart 3", "gate 3", "post_start 3")
	if len(rep.Warnings) == 0 || !strings.Contains(rep.Warnings[0], "is not a usable release: 1: ") {
		t.Errorf("warnings %q", rep.Warnings)
	}
}
