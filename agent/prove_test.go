package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/report"
	"koboshi/artifacts/fetch"
)

// bakedTarget is a launch whose target is in the image and was altered there; its
// completion marker is untouched.
func bakedTarget(w *world) {
	baked(w)
	w.promote("1", time.Time{})
	w.alter("1")
}

// silent is a source that cannot be reached.
func silent(w *world) { w.pointerErr, w.contentErr = cutOff, cutOff }

// twoBaked is a launch on an image that has 2, altered, and 1.
func twoBaked(w *world) {
	baked(w)
	w.id = "i-0ffffffffffffffff"
	_, _ = w.sync()
	w.id, w.running, w.signals = self, "", nil
	w.alter("2")
}

// A tree that was altered since it was installed is not run, however it was
// chosen: it is installed again, or another release runs, or none.
func TestAnAlteredTreeDoesNotRun(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given func(*world)
		when  func(*world)
		do    func(*world) (report.Report, error)
		want  result
	}{
		{"the target", bakedTarget, func(*world) {}, (*world).boot, result{report.Fresh, nil, "1", "1", goOn}},
		{"the target, without the artifact", bakedTarget, func(w *world) { w.contentErr = cutOff }, (*world).boot, result{report.Failed, fetch.ErrTransport, "1", "", giveUp}},
		{"the target, without the artifact, and another", twoBaked, func(w *world) { w.contentErr = cutOff }, (*world).boot, result{report.Stale, nil, "1", "1", goOn}},
		{"the fallback", baked, func(w *world) { w.alter("1"); w.pointerErr = noChannel }, (*world).boot, result{report.Stale, nil, "1", "1", goOn}},
		{"the fallback, without a source", baked, func(w *world) { w.alter("1"); silent(w) }, (*world).boot, result{report.Failed, fetch.ErrTransport, "1", "", giveUp}},
		{"the fallback, without a source, and another", twoBaked, silent, (*world).boot, result{report.Stale, nil, "1", "1", goOn}},
		{"what is put back", baked, func(w *world) { w.alter("1"); w.ill["2"] = true; w.failing = map[string]error{w.artifact("1"): cutOff} }, (*world).boot, result{report.Failed, nil, "2", "2", giveUp}},
		{"only compared while it is installed", bakedTarget, func(w *world) { w.verify = config.VerifyInstall; silent(w); w.pointerErr = nil }, (*world).boot, result{report.Current, nil, "1", "1", goOn}},
		{"a version that was left over", baked, func(w *world) { _, _ = w.boot(); w.signals = nil; w.alter("1") }, syncTo("1"), result{report.Fresh, nil, "1", "1", nil}},
		{"a version that was left over, without the artifact", baked, func(w *world) { _, _ = w.boot(); w.signals = nil; w.alter("1"); w.contentErr = cutOff }, syncTo("1"), result{report.Stale, fetch.ErrTransport, "2", "2", nil}},

		{"after a reboot", live, func(w *world) { w.rebooted(config.VerifyStart); w.promote("1", time.Time{}) }, (*world).boot, result{report.Fresh, nil, "1", "1", nil}},
		{"after a reboot, without a source", live, func(w *world) { w.rebooted(config.VerifyStart); silent(w) }, (*world).boot, result{report.Failed, fetch.ErrTransport, "1", "", nil}},
		{"after a reboot, without a source, and another", twice, func(w *world) { w.rebooted(config.VerifyStart); silent(w) }, (*world).boot, result{report.Stale, nil, "1", "1", nil}},
		{"after a reboot, compared at launch", live, func(w *world) { w.rebooted(config.VerifyLaunch); silent(w) }, (*world).boot, result{report.Stale, nil, "1", "1", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.given(w)
			tt.when(w)
			rep, err := tt.do(w)
			if tt.want.verdict == report.Failed && tt.want.err == nil {
				tt.want.err = err // the table of verdicts has it
			}
			w.check(t, rep, err, tt.want)
			w.checkStarted(t, "1")
		})
	}
}

func syncTo(version string) func(*world) (report.Report, error) {
	return func(w *world) (report.Report, error) { return w.syncWith(agent.SyncOptions{Version: version}) }
}

// rebooted is a machine that comes up again, with an altered tree.
func (w *world) rebooted(verify string) {
	w.firmwareID, w.running, w.verify = w.id, "", verify
	w.alter(w.current())
}

// artifact is the key of a version's.
func (w *world) artifact(version string) string {
	for key := range w.contents {
		if strings.HasPrefix(key, "releases/"+version+"/") {
			return key
		}
	}
	w.t.Fatal("no artifact of " + version)
	return ""
}

// checkStarted fails where the app runs from a tree with other bytes than were
// published, unless install.verify does not ask for a check at each start.
func (w *world) checkStarted(t *testing.T, version string) {
	t.Helper()
	if w.running != version || w.verify == config.VerifyInstall || w.verify == config.VerifyLaunch {
		return
	}
	if got := w.app(t); got != "#!/bin/sh\necho "+version+"\n" {
		t.Errorf("the app runs from %q", got)
	}
}

// A tree is compared once on an instance, or at each start, and not at all where
// this run has just made it.
func TestHowOftenATreeIsCompared(t *testing.T) {
	for _, tt := range []struct {
		verify                 string
		install, launch, again int
	}{
		{config.VerifyInstall, 0, 0, 0},
		{config.VerifyLaunch, 0, 1, 0},
		{config.VerifyStart, 0, 1, 1},
	} {
		t.Run(tt.verify, func(t *testing.T) {
			w := newWorld(t)
			w.verify = tt.verify
			w.id = "i-0ffffffffffffffff"
			compared := func() (n int) {
				t.Helper()
				rep, err := w.boot()
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range rep.Steps {
					if s.Name == "verify" {
						n++
					}
				}
				return n
			}
			install := compared()
			w.id, w.running = self, ""
			launch := compared()
			w.firmwareID, w.running = w.id, ""
			if got := []int{install, launch, compared()}; !slices.Equal(got, []int{tt.install, tt.launch, tt.again}) {
				t.Errorf("compared %v times while it is installed, at the launch of another instance, and after a reboot", got)
			}
		})
	}
}
