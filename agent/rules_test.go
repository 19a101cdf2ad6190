package agent_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/report"
	"koboshi/artifacts"
)

// TestFloorAppliesToEveryStart has a trust.floor above an installed release: it is
// never started, however it was chosen.
func TestFloorAppliesToEveryStart(t *testing.T) {
	low := artifacts.ErrUntrusted
	for _, tt := range []struct {
		name  string
		given func(*world)
		run   func(*world) (report.Report, error)
		want  result
	}{
		{"the channel", nothingBaked, (*world).boot, result{report.Failed, low, "", "", giveUp}},
		{"the channel, baked", func(w *world) { baked(w); w.promote("1", time.Time{}); w.sequence-- }, (*world).boot, result{report.Failed, low, "1", "", giveUp}},
		{"a fallback", func(w *world) { baked(w); w.pointerErr = noChannel }, (*world).boot, result{report.Failed, noChannel, "1", "", giveUp}},
		{"what is put back", func(w *world) { baked(w); w.sequence = 9; w.release("3"); w.ill["3"] = true }, (*world).boot, result{report.Failed, health.ErrUnhealthy, "3", "3", giveUp}},
		{"a rollback", func(w *world) { twice(w); w.sequence = 9; w.release("3"); _, _ = w.sync() }, (*world).rollback, result{report.Failed, low, "3", "3", nil}},
		{"a version", twice, func(w *world) (report.Report, error) { return w.syncWith(agent.SyncOptions{Version: "1"}) }, result{report.Failed, low, "2", "2", nil}},
		{"the version that runs", live, func(w *world) (report.Report, error) { return w.syncWith(agent.SyncOptions{Version: "1"}) }, result{report.Failed, low, "1", "1", nil}},
		{"a version of unknown sequence", func(w *world) { live(w); w.publish("7") }, func(w *world) (report.Report, error) { return w.syncWith(agent.SyncOptions{Version: "7"}) }, result{report.Failed, low, "1", "1", nil}},
		{"a reboot", func(w *world) { live(w); w.firmwareID, w.running, w.pointerErr = w.id, "", noChannel }, (*world).boot, result{report.Failed, noChannel, "1", "", nil}},
		{"an app that is down", func(w *world) { live(w); w.running, w.pointerErr = "", noChannel }, (*world).sync, result{report.Failed, noChannel, "1", "", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.given(w)
			w.floor, w.story = 10, nil
			rep, err := tt.run(w)
			w.check(t, rep, err, tt.want)
			for _, version := range []string{"1", "2", "7"} {
				if slices.Contains(w.story, "restart "+version) && tt.want.running != version {
					t.Errorf("version %s, below the floor, was started: %q", version, w.story)
				}
			}
		})
	}
}

// canaryBaked is a launch into the channel stable on an AMI that was baked by a
// canary instance.
func canaryBaked(w *world) {
	w.publish("2")
	w.promoteCanary("2")
	w.id, w.tags[config.TagChannel] = "i-0ffffffffffffffff", "canary"
	_, _ = w.boot()
	w.id, w.running, w.signals = self, "", nil
	delete(w.tags, config.TagChannel)
}

func TestAFallbackStaysInItsChannel(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given func(*world)
		want  result
	}{
		{"canary alone", func(w *world) { canaryBaked(w); w.pointerErr = noChannel }, result{report.Failed, noChannel, "2", "", giveUp}},
		{"both", func(w *world) { baked(w); canaryBaked(w); w.pointerErr = noChannel }, result{report.Stale, nil, "1", "1", goOn}},
		{"canary alone, the target is ill", func(w *world) { canaryBaked(w); w.ill["1"] = true }, result{report.Failed, health.ErrUnhealthy, "1", "1", giveUp}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.given(w)
			w.story = nil
			rep, err := w.boot()
			w.check(t, rep, err, tt.want)
			if slices.Contains(w.story, "restart 2") {
				t.Errorf("a canary ran: %q", w.story)
			}
		})
	}
}

// TestMaxAgeIsOfTheChannel bounds a fallback by when its channel was last seen to
// point to it. A time in the future does not count.
func TestMaxAgeIsOfTheChannel(t *testing.T) {
	for _, tt := range []struct {
		name    string
		passed  time.Duration // since it was baked
		allowed bool
	}{
		{"just within", 24*time.Hour - time.Second, true},
		{"just beyond", 24*time.Hour + time.Second, false},
		{"a second ahead", -time.Second, false},
		{"a year ahead", -8760 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			baked(w)
			w.now = w.now.Add(tt.passed - time.Hour) // baked has let an hour pass
			w.pointerErr = noChannel
			if rep, err := w.boot(); (err == nil && rep.Verdict == report.Stale) != tt.allowed {
				t.Errorf("verdict %s, error %v", rep.Verdict, err)
			}
		})
	}
}

// The clock was an hour ahead while 2 came up. It is still older than the release
// that ran later.
func TestAClockThatWasAhead(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.now = w.now.Add(time.Hour)
	_, _ = w.sync()
	w.now = w.now.Add(-time.Hour)
	if _, err := w.rollback(); err != nil {
		t.Fatal(err)
	}
	if err := w.hold(nil); err != nil {
		t.Fatal(err)
	}
	w.restarts, w.pointerErr = 0, noChannel
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Stale, noChannel, "1", "1", nil})
	if w.restarts != 0 {
		t.Errorf("%d restarts", w.restarts)
	}
	w.firmwareID, w.running = w.id, ""
	rep, err = w.boot()
	w.check(t, rep, err, result{report.Stale, nil, "1", "1", nil})
	w.pointerErr, w.ill["3"] = nil, true
	w.release("3")
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "1", "1", nil})
	if got := w.linked("previous"); got != "2" {
		t.Errorf("previous is %q, want 2: the newest other release that was healthy", got)
	}
}

// TestPutBack has 1 and 2 healthy, and a sync to 3, which is not.
func TestPutBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		sync func(*world)
		now  string // what runs after it
	}{
		{"ill", func(w *world) { w.ill["3"] = true; _, _ = w.sync() }, "2"},
		{"ill thrice", func(w *world) { w.ill["3"] = true; _, _ = w.sync(); _, _ = w.sync(); _, _ = w.sync() }, "2"},
		{"killed in the gate", func(w *world) {
			w.onGate = runtime.Goexit
			w.dies()
			w.onGate = nil
		}, "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			twice(w)
			w.release("3")
			tt.sync(w)
			if w.running != tt.now {
				t.Fatalf("%q runs, want %q", w.running, tt.now)
			}
			want := map[string]string{"2": "1", "3": "2"}[tt.now]
			rep, err := w.rollback()
			w.check(t, rep, err, result{report.Held, nil, want, want, nil})
		})
	}
}

// dies is a sync whose process ends in its gate.
func (w *world) dies() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = w.sync()
	}()
	<-ended
}

// A sync that was killed in its gate leaves a release current that was never
// healthy. If the next one fails, what ran before it is put back.
func TestAfterADeathInTheGate(t *testing.T) {
	w := newWorld(t)
	twice(w)
	w.release("3")
	w.onGate = runtime.Goexit
	w.dies()
	w.onGate = nil
	w.ill["3"] = true
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "2", "2", nil})
}

// Releases that fail do not fill the disk, and a target that could not be reached
// is not fetched anew each time.
func TestFailedSyncsPrune(t *testing.T) {
	w := newWorld(t)
	twice(w)
	for _, version := range strings.Fields("3 4 5 6 7 8 9") {
		w.ill[version] = true
		w.release(version)
		if _, err := w.sync(); err == nil {
			t.Fatal("an ill release is no success")
		}
		if kept := w.releases(t); kept > 3 {
			t.Errorf("%d releases after the failure of %s, want 1, 2 and that", kept, version)
		}
	}
	w.fetches = 0
	_, _ = w.sync()
	if w.fetches != 0 {
		t.Error("what is ill was fetched again")
	}
	if previous := w.linked("previous"); w.current() != "2" || previous != "1" {
		t.Errorf("current %s, previous %s, want 2 and 1", w.current(), previous)
	}
}

// TestEveryRunPrunes is what is left of releases/ after a run that ended in some
// other way than a sync that worked.
func TestEveryRunPrunes(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(*world)
	}{
		{"no channel", func(w *world) { w.pointerErr = noChannel; _, _ = w.sync() }},
		{"no identity", func(w *world) { w.identityErr = errDenied; _, _ = w.sync() }},
		{"held", func(w *world) { w.tags[config.TagHold] = "stay"; _, _ = w.sync() }},
		{"a rollback", func(w *world) { _, _ = w.rollback() }},
		{"a reboot", func(w *world) { _, _ = w.boot() }},
		{"a failed launch", func(w *world) { w.id = "i-0aaaaaaaaaaaaaaaa"; w.contentErr = full; w.release("9"); _, _ = w.boot() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			twice(w)
			left := filepath.Join(w.dir, "opt/releases/8-0123456789ab") // of a run that was killed
			if err := os.MkdirAll(filepath.Join(left, "tree"), 0o755); err != nil {
				t.Fatal(err)
			}
			tt.run(w)
			if _, err := os.Stat(left); !os.IsNotExist(err) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}
