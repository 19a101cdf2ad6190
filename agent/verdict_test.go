package agent_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

// result is everything that can be seen of a run from outside.
type result struct {
	verdict report.Verdict
	err     error // the sentinel, nil where the exit code is 0
	current string
	running string
	signals []lifecycle.Result
}

func (w *world) check(t *testing.T, rep report.Report, err error, want result) {
	t.Helper()
	if rep.Verdict != want.verdict {
		t.Errorf("verdict %q, want %q", rep.Verdict, want.verdict)
	}
	if !errors.Is(err, want.err) {
		t.Errorf("error %v, want %v", err, want.err)
	}
	if got := w.current(); got != want.current {
		t.Errorf("current is %q, want %q", got, want.current)
	}
	if w.running != want.running {
		t.Errorf("version %q runs, want %q", w.running, want.running)
	}
	if !slices.Equal(w.signals, want.signals) {
		t.Errorf("signals %v, want %v", w.signals, want.signals)
	}
	if saved, err := report.Newest(w.open("state")); err != nil || saved.Verdict != want.verdict {
		t.Errorf("the report on the disk says %q (%v), want %q", saved.Verdict, err, want.verdict)
	}
}

var (
	goOn   = []lifecycle.Result{lifecycle.Continue}
	giveUp = []lifecycle.Result{lifecycle.Abandon}
)

// nothingBaked is a launch on an AMI without a tree.
func nothingBaked(*world) {}

// baked is a launch on an AMI into which version 1 was baked on another
// instance, an hour ago, while the channel has moved to version 2.
func baked(w *world) {
	w.id = "i-0ffffffffffffffff"
	_, _ = w.boot()
	w.id, w.running, w.signals = self, "", nil
	w.now = w.now.Add(time.Hour)
	w.release("2")
}

// live is a machine that runs version 1 while the channel has moved to 2.
func live(w *world) {
	_, _ = w.boot()
	w.signals = nil
	w.now = w.now.Add(48 * time.Hour)
	w.release("2")
}

// TestLaunch is the column "at launch" of the table of verdicts.
func TestLaunch(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given func(*world)
		when  func(*world)
		want  result
	}{
		{"installed the target", nothingBaked, func(*world) {}, result{report.Fresh, nil, "1", "1", goOn}},
		{"installed the target beside a baked one", baked, func(*world) {}, result{report.Fresh, nil, "2", "2", goOn}},
		{"had it", baked, func(w *world) { w.promote("1", time.Time{}) }, result{report.Current, nil, "1", "1", goOn}},

		{"no channel", nothingBaked, func(w *world) { w.pointerErr = noChannel }, result{report.Failed, noChannel, "", "", giveUp}},
		{"no channel, baked", baked, func(w *world) { w.pointerErr = noChannel }, result{report.Stale, nil, "1", "1", goOn}},
		{"no channel, baked too long ago", baked, func(w *world) { w.pointerErr = noChannel; w.age = 30 * time.Minute }, result{report.Failed, noChannel, "1", "", giveUp}},
		{"no channel, baked, never stale", baked, func(w *world) { w.pointerErr = noChannel; w.age = 0 }, result{report.Failed, noChannel, "1", "", giveUp}},
		{"no channel, baked, never stale, the clock has gone back", baked, func(w *world) { w.pointerErr = noChannel; w.age = 0; w.now = w.now.Add(-8760 * time.Hour) }, result{report.Failed, noChannel, "1", "", giveUp}},
		{"no channel, baked, not allowed", baked, func(w *world) { w.pointerErr = noChannel; w.when = nil }, result{report.Failed, noChannel, "1", "", giveUp}},
		{"no channel, baked is ill", baked, func(w *world) { w.pointerErr = noChannel; w.ill["1"] = true }, result{report.Failed, noChannel, "1", "1", giveUp}},
		{"no manifest, baked", baked, func(w *world) { w.manifestErr = noChannel }, result{report.Stale, nil, "1", "1", goOn}},
		{"cut off, baked", baked, func(w *world) { w.contentErr = cutOff }, result{report.Stale, nil, "1", "1", goOn}},
		{"cut off", nothingBaked, func(w *world) { w.contentErr = cutOff }, result{report.Failed, fetch.ErrTransport, "", "", giveUp}},
		{"expired, baked", baked, func(w *world) { w.promote("2", w.now) }, result{report.Stale, nil, "1", "1", goOn}},
		{"expired", nothingBaked, func(w *world) { w.promote("1", w.now) }, result{report.Failed, artifacts.ErrExpired, "", "", giveUp}},

		{"bad signature, baked", baked, func(w *world) { w.forge() }, result{report.Failed, artifacts.ErrUntrusted, "1", "", giveUp}},
		{"bad signature, baked, allowed", baked, func(w *world) { w.forge(); w.when = []string{config.Untrusted} }, result{report.Stale, nil, "1", "1", goOn}},
		{"altered, baked", baked, func(w *world) { w.contentErr = altered }, result{report.Failed, artifacts.ErrIntegrity, "1", "", giveUp}},
		{"altered, baked, allowed", baked, func(w *world) { w.contentErr = altered; w.when = []string{config.Untrusted} }, result{report.Stale, nil, "1", "1", goOn}},
		{"hostile archive, baked", baked, func(w *world) { w.contentErr = hostile }, result{report.Failed, tree.ErrRefused, "1", "", giveUp}},
		{"below the floor", nothingBaked, func(w *world) { w.floor = 10 }, result{report.Failed, artifacts.ErrUntrusted, "", "", giveUp}},
		{"went back, baked", baked, func(w *world) { w.sequence = 0; w.promote("2", time.Time{}) }, result{report.Failed, artifacts.ErrUntrusted, "1", "", giveUp}},

		{"ill", nothingBaked, func(w *world) { w.ill["1"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}},
		{"ill, baked put back", baked, func(w *world) { w.ill["2"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}},
		{"ill, baked, allowed", baked, func(w *world) { w.ill["2"] = true; w.when = []string{config.Unhealthy} }, result{report.Stale, nil, "1", "1", goOn}},
		{"does not start, baked put back", baked, func(w *world) { w.broken["2"] = true }, result{report.Failed, service.ErrActivate, "1", "1", giveUp}},
		{"does not start, baked, allowed", baked, func(w *world) { w.broken["2"] = true; w.when = []string{config.Unhealthy} }, result{report.Stale, nil, "1", "1", goOn}},
		{"both ill, allowed", baked, func(w *world) { w.ill["1"], w.ill["2"] = true, true; w.when = []string{config.Unhealthy} }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}},

		{"disk full, baked", baked, func(w *world) { w.contentErr = full }, result{report.Failed, store.ErrDisk, "1", "", giveUp}},
		{"a hold does not count", baked, func(w *world) { w.tags[config.TagHold] = "do not touch" }, result{report.Fresh, nil, "2", "2", goOn}},
		{"failed, left to look at", baked, func(w *world) { w.ill["2"] = true; w.wait = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}},

		{"not rechecked", nothingBaked, func(w *world) { w.breakAfter(1) }, result{report.Fresh, nil, "1", "1", goOn}},
		{"moved while booting", nothingBaked, func(w *world) { w.moveOn(2, "2") }, result{report.Fresh, nil, "2", "2", goOn}},
		{"moved to an ill one while booting", nothingBaked, func(w *world) { w.moveOn(2, "2"); w.ill["2"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}},
		{"always moving", nothingBaked, func(w *world) { w.moveOn(2, "2"); w.moveOn(3, "3"); w.moveOn(4, "4") }, result{report.Fresh, nil, "3", "3", goOn}},

		{"no group", nothingBaked, (*world).leaveGroup, result{report.Fresh, nil, "1", "1", nil}},
		{"no hook", nothingBaked, func(w *world) { w.outcome = lifecycle.Outcome{End: lifecycle.NoHook} }, result{report.Fresh, nil, "1", "1", goOn}},
		{"hook over", nothingBaked, func(w *world) { w.outcome = lifecycle.Outcome{End: lifecycle.AlreadyOver, State: "InService"} }, result{report.Fresh, nil, "1", "1", goOn}},
		{"hook untold", nothingBaked, func(w *world) { w.completeErr = errors.New("throttled") }, result{report.Fresh, lifecycle.ErrNotCompleted, "1", "1", goOn}},
		{"ill and hook untold", nothingBaked, func(w *world) { w.ill["1"] = true; w.completeErr = errors.New("throttled") }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}},

		{"no identity", baked, func(w *world) { w.identityErr = instance.ErrUnreachable }, result{report.Failed, instance.ErrUnreachable, "1", "", nil}},
		{"no credentials, baked", baked, func(w *world) { w.pointerErr = instance.ErrNoCredentials }, result{report.Failed, instance.ErrNoCredentials, "1", "", nil}},
		{"tags off", nothingBaked, func(w *world) { w.tags, w.tagsErr = nil, instance.ErrTagsOff }, result{report.Fresh, nil, "1", "1", goOn}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.given(w)
			tt.when(w)
			w.ready = 0
			rep, err := w.boot()
			w.check(t, rep, err, tt.want)
			if serves := tt.want.verdict != report.Failed; (w.ready == 1) != serves {
				t.Errorf("systemd was notified %d times that the boot is done, and the app runs: %v", w.ready, serves)
			}
		})
	}
}

// TestLive is the column "live box": sync, and boot after a reboot.
func TestLive(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(*world)
		sync result
		boot result
	}{
		{"installed the target", func(*world) {}, result{report.Fresh, nil, "2", "2", nil}, result{report.Fresh, nil, "2", "2", nil}},
		{"had it", func(w *world) { w.promote("1", time.Time{}) }, result{report.Current, nil, "1", "1", nil}, result{report.Current, nil, "1", "1", nil}},
		{"no channel", func(w *world) { w.pointerErr = noChannel }, result{report.Stale, noChannel, "1", "1", nil}, result{report.Stale, nil, "1", "1", nil}},
		{"cut off", func(w *world) { w.contentErr = cutOff }, result{report.Stale, fetch.ErrTransport, "1", "1", nil}, result{report.Stale, nil, "1", "1", nil}},
		{"expired", func(w *world) { w.promote("2", w.now) }, result{report.Stale, artifacts.ErrExpired, "1", "1", nil}, result{report.Stale, nil, "1", "1", nil}},
		{"bad signature", func(w *world) { w.forge() }, result{report.Failed, artifacts.ErrUntrusted, "1", "1", nil}, result{report.Failed, artifacts.ErrUntrusted, "1", "1", nil}},
		{"altered", func(w *world) { w.contentErr = altered }, result{report.Failed, artifacts.ErrIntegrity, "1", "1", nil}, result{report.Failed, artifacts.ErrIntegrity, "1", "1", nil}},
		{"hostile archive", func(w *world) { w.contentErr = hostile }, result{report.Failed, tree.ErrRefused, "1", "1", nil}, result{report.Failed, tree.ErrRefused, "1", "1", nil}},
		{"ill", func(w *world) { w.ill["2"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}, result{report.Failed, health.ErrUnhealthy, "1", "1", nil}},
		{"does not start", func(w *world) { w.broken["2"] = true }, result{report.Failed, service.ErrActivate, "1", "1", nil}, result{report.Failed, service.ErrActivate, "1", "1", nil}},
		{"held", func(w *world) { w.tags[config.TagHold] = "looking at it" }, result{report.Held, nil, "1", "1", nil}, result{report.Held, nil, "1", "1", nil}},
		{"always moving", func(w *world) { w.chase() }, result{report.Fresh, nil, "4", "4", nil}, result{report.Fresh, nil, "4", "4", nil}},
		{"disk full", func(w *world) { w.contentErr = full }, result{report.Failed, store.ErrDisk, "1", "1", nil}, result{report.Failed, store.ErrDisk, "1", "1", nil}},
		{"no identity", func(w *world) { w.identityErr = instance.ErrUnreachable }, result{report.Failed, instance.ErrUnreachable, "1", "1", nil}, result{report.Failed, instance.ErrUnreachable, "1", "1", nil}},
	} {
		t.Run("sync/"+tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			tt.when(w)
			rep, err := w.sync()
			w.check(t, rep, err, tt.sync)
		})
		t.Run("boot/"+tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			w.firmwareID, w.running = w.id, ""
			tt.when(w)
			rep, err := w.boot()
			w.check(t, rep, err, tt.boot)
		})
	}
}

// forge replaces the pointer by one that an untrusted key has signed.
func (w *world) forge() {
	w.t.Helper()
	own := w.key
	key, err := artifacts.GenerateKey()
	if err != nil {
		w.t.Fatal(err)
	}
	w.key = key
	w.promote("2", time.Time{})
	w.key = own
}

// breakAfter makes reading the channel fail after n times.
func (w *world) breakAfter(n int) {
	w.onPointer = func(reads int) {
		if reads > n {
			w.pointerErr = noChannel
		}
	}
}

// moveOn promotes a version just before the n-th reading of the channel.
func (w *world) moveOn(n int, version string) {
	earlier := w.onPointer
	w.onPointer = func(reads int) {
		if earlier != nil {
			earlier(reads)
		}
		if reads == n {
			w.release(version)
		}
	}
}

// chase promotes another version before each of the next four readings but
// the first.
func (w *world) chase() {
	at := w.pointers
	w.moveOn(at+2, "3")
	w.moveOn(at+3, "4")
	w.moveOn(at+4, "5")
}
