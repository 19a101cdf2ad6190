package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/health"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
)

// rollOut rolls a version out, to a share that this instance is just in, or just not
// in. The others get all.
func (w *world) rollOut(all, version string, in bool) {
	w.t.Helper()
	percent := artifacts.Place("web", "stable", version, w.id)
	if in {
		percent++
	}
	w.next = &artifacts.Next{Version: version, ManifestSHA256: artifacts.Sum(w.manifests[version]), Percent: percent}
	w.promote(all, time.Time{})
}

// abort drops the rollout.
func (w *world) abort(all string) {
	w.t.Helper()
	w.next = nil
	w.promote(all, time.Time{})
}

// rolled is a world with the versions 1, which the channel points to, 2 and 3.
func rolled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.publish("2")
	w.publish("3")
	return w
}

func wantRollout(t *testing.T, rep report.Report, version string, in bool) {
	t.Helper()
	if r := rep.Rollout; r == nil || r.Version != version || r.In != in {
		t.Errorf("the report has the rollout %+v, want %s, in: %t", rep.Rollout, version, in)
	}
}

// Whether an instance is in decides at a launch, and costs nothing: the channel is
// read as often, and one manifest and one artifact are asked for.
func TestLaunchInARollout(t *testing.T) {
	for name, c := range map[string]struct {
		in   bool
		want string
	}{"in": {true, "2"}, "not in": {false, "1"}} {
		t.Run(name, func(t *testing.T) {
			w := rolled(t)
			w.rollOut("1", "2", c.in)
			rep, err := w.boot()
			w.check(t, rep, err, result{report.Fresh, nil, c.want, c.want, goOn})
			wantRollout(t, rep, "2", c.in)
			if w.pointers != 2 || w.manifested != 1 || w.fetches != 1 || w.restarts != 1 {
				t.Errorf("%d pointers, %d manifests, %d artifacts, %d restarts", w.pointers, w.manifested, w.fetches, w.restarts)
			}
			if rep.Release.Sequence != w.sequence || rep.Target.Version != c.want {
				t.Errorf("release %+v, target %+v", rep.Release, rep.Target)
			}
		})
	}
}

// The recheck compares what this instance gets: a rollout that begins, grows or is
// aborted meanwhile moves those that it is about, and no one else.
func TestRecheckInARollout(t *testing.T) {
	for name, c := range map[string]struct {
		before, meanwhile func(*world)
		want              string
		restarts          int
	}{
		"begins with it":    {func(w *world) { w.promote("1", time.Time{}) }, func(w *world) { w.rollOut("1", "2", true) }, "2", 2},
		"begins without it": {func(w *world) { w.promote("1", time.Time{}) }, func(w *world) { w.rollOut("1", "2", false) }, "1", 1},
		"grows to it":       {func(w *world) { w.rollOut("1", "2", false) }, func(w *world) { w.rollOut("1", "2", true) }, "2", 2},
		"grows": {func(w *world) { w.rollOut("1", "2", true) }, func(w *world) {
			w.next.Percent++
			w.promote("1", time.Time{})
		}, "2", 1},
		"aborted":               {func(w *world) { w.rollOut("1", "2", true) }, func(w *world) { w.abort("1") }, "1", 2},
		"aborted without it":    {func(w *world) { w.rollOut("1", "2", false) }, func(w *world) { w.abort("1") }, "1", 1},
		"ends":                  {func(w *world) { w.rollOut("1", "2", true) }, func(w *world) { w.abort("2") }, "2", 1},
		"ends without it":       {func(w *world) { w.rollOut("1", "2", false) }, func(w *world) { w.abort("2") }, "2", 2},
		"the rest moves":        {func(w *world) { w.rollOut("1", "2", true) }, func(w *world) { w.rollOut("3", "2", true) }, "2", 1},
		"the rest moves, as it": {func(w *world) { w.rollOut("1", "2", false) }, func(w *world) { w.rollOut("3", "2", false) }, "3", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := rolled(t)
			c.before(w)
			w.onPointer = func(n int) {
				if n == 2 {
					c.meanwhile(w)
				}
			}
			rep, err := w.boot()
			w.check(t, rep, err, result{report.Fresh, nil, c.want, c.want, goOn})
			if w.restarts != c.restarts {
				t.Errorf("%d restarts, want %d", w.restarts, c.restarts)
			}
			if rep.Rollout != nil && rep.Rollout.Percent != w.next.Percent {
				t.Errorf("the report has %+v, which was changed meanwhile", rep.Rollout)
			}
		})
	}
}

// A live machine follows what the channel has for it: by a timer, by hand, and after a
// reboot.
func TestLiveMachineInARollout(t *testing.T) {
	for name, follow := range map[string]func(*world) (report.Report, error){
		"timer":  (*world).looks,
		"sync":   (*world).sync,
		"reboot": func(w *world) (report.Report, error) { w.firmwareID = self; return w.boot() },
	} {
		t.Run(name, func(t *testing.T) {
			w := rolled(t)
			_, err := w.boot()
			w.signals = nil
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				name string
				do   func()
				want string
			}{
				{"others are in", func() { w.rollOut("1", "2", false) }, "1"},
				{"it is in", func() { w.rollOut("1", "2", true) }, "2"},
				{"more are in", func() { w.next.Percent = 100; w.promote("1", time.Time{}) }, "2"},
				{"aborted", func() { w.abort("1") }, "1"},
				{"aborted, and signed again", func() { w.abort("1") }, "1"},
				{"in again", func() { w.rollOut("1", "2", true) }, "2"},
				{"ended", func() { w.abort("2") }, "2"},
				{"another", func() { w.rollOut("2", "3", false) }, "2"},
				{"another, in", func() { w.rollOut("2", "3", true) }, "3"},
			} {
				before, restarts := w.running, w.restarts
				step.do()
				rep, err := follow(w)
				if err != nil || w.running != step.want || w.current() != step.want {
					t.Errorf("%s: %v, %s runs, want %s", step.name, err, w.running, step.want)
				}
				if name != "reboot" && before == step.want && w.restarts != restarts {
					t.Errorf("%s: %d restarts, and nothing changed for it", step.name, w.restarts-restarts)
				}
				if w.next != nil {
					wantRollout(t, rep, w.next.Version, w.running == w.next.Version)
				} else if rep.Rollout != nil {
					t.Errorf("%s: the report has %+v", step.name, rep.Rollout)
				}
			}
		})
	}
}

// Back from an aborted rollout it is by the gate.
func TestAbortGoesThroughTheGate(t *testing.T) {
	w := rolled(t)
	w.rollOut("1", "2", true)
	_, err := w.boot()
	w.signals = nil
	if err != nil {
		t.Fatal(err)
	}
	w.abort("1")
	w.ill["1"] = true
	rep, err := w.sync()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "2", "2", nil})
	w.ill["1"] = false
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Current, nil, "1", "1", nil})
}

func TestHeldMachineStaysOutOfARollout(t *testing.T) {
	w := rolled(t)
	live := func() (report.Report, error) { return w.sync() }
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.signals = nil
	w.tags[config.TagHold] = "x"
	w.rollOut("1", "2", true)
	rep, err := live()
	w.check(t, rep, err, result{report.Held, nil, "1", "1", nil})
	delete(w.tags, config.TagHold)
	rep, err = live()
	w.check(t, rep, err, result{report.Fresh, nil, "2", "2", nil})
	w.tags[config.TagHold] = "x"
	w.abort("1")
	rep, err = live()
	w.check(t, rep, err, result{report.Held, nil, "2", "2", nil})
}

// What failed here is not tried again because its share grows: for this instance
// nothing has changed. It is when the rollout ends, and after an abort it is over.
func TestLookDoesNotRepeatAFailureInARollout(t *testing.T) {
	w := rolled(t)
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.signals = nil
	w.ill["2"] = true
	w.rollOut("1", "2", true)
	rep, err := w.looks()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "1", "1", nil})
	restarts := w.restarts
	w.next.Percent = 100
	w.promote("1", time.Time{})
	rep, err = w.looks()
	w.check(t, rep, err, result{report.Failed, health.ErrUnhealthy, "1", "1", nil})
	if w.restarts != restarts {
		t.Errorf("%d restarts because more are in", w.restarts-restarts)
	}
	w.abort("1")
	w.rested(t, "1")
	if w.restarts != restarts {
		t.Errorf("%d restarts by the abort", w.restarts-restarts)
	}
	w.ill["2"] = false
	w.abort("2")
	rep, err = w.looks()
	w.check(t, rep, err, result{report.Current, nil, "2", "2", nil})
}

// A machine that has no id yet gets what the channel points to.
func TestPrebakeInARollout(t *testing.T) {
	w := rolled(t)
	w.next = &artifacts.Next{Version: "2", ManifestSHA256: artifacts.Sum(w.manifests["2"]), Percent: 100}
	w.promote("1", time.Time{})
	if _, err := w.prebake(agent.PrebakeOptions{}); err != nil || w.current() != "1" {
		t.Errorf("%v, %s is baked in", err, w.current())
	}
}

// What a rollout gave this instance may take its target's place as any other release
// may, and what it gave to others may not, though it lies on the disk, as in an AMI that
// was made of one of them.
func TestFallbackInARollout(t *testing.T) {
	away := bucket.ErrDenied
	for name, c := range map[string]struct {
		given func(t *testing.T, w *world)
		want  result
	}{
		"it is in": {func(t *testing.T, w *world) {
			w.rollOut("1", "2", true)
			w.bakeFor(t, true)
		}, result{report.Stale, nil, "2", "2", goOn}},
		"it is in, and that is too long ago": {func(t *testing.T, w *world) {
			w.rollOut("1", "2", true)
			w.bakeFor(t, true)
			w.now = w.now.Add(25 * time.Hour)
		}, result{report.Failed, bucket.ErrDenied, "2", "", giveUp}},
		"others were in": {func(t *testing.T, w *world) {
			w.rollOut("1", "2", true)
			w.bakeFor(t, false)
		}, result{report.Failed, bucket.ErrDenied, "2", "", giveUp}},
		"all had it, and it is in": {func(t *testing.T, w *world) {
			w.rollOut("1", "2", false)
			w.bakeFor(t, true)
		}, result{report.Stale, nil, "1", "1", goOn}},
	} {
		t.Run(name, func(t *testing.T) {
			w := rolled(t)
			c.given(t, w)
			w.pointerErr = away
			rep, err := w.boot()
			w.check(t, rep, err, c.want)
		})
	}
}

// bakeFor makes an AMI of this instance after its launch, and launches another one from
// it that is in the rollout, or not.
func (w *world) bakeFor(t *testing.T, in bool) {
	t.Helper()
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"state", "run"} {
		if err := os.RemoveAll(filepath.Join(w.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	w.signals, w.running = nil, ""
	for n := 0; w.id == self || artifacts.Member("web", "stable", w.next.Version, w.id, w.next.Percent) != in; n++ {
		w.id = fmt.Sprintf("i-%017x", n)
	}
}

// A floor and the order of sequences count for what is rolled out as ever.
func TestRulesInARollout(t *testing.T) {
	w := rolled(t)
	w.rollOut("1", "2", true)
	w.floor = w.sequence + 1
	rep, err := w.boot()
	w.check(t, rep, err, result{report.Failed, artifacts.ErrUntrusted, "", "", giveUp})

	w = rolled(t)
	w.rollOut("1", "2", true)
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.signals = nil
	old := w.pointer
	w.abort("1")
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.pointer = old
	rep, err = w.sync()
	w.check(t, rep, err, result{report.Failed, artifacts.ErrUntrusted, "1", "1", nil})
}

func TestPlanInARollout(t *testing.T) {
	w := rolled(t)
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	for _, in := range []bool{false, true} {
		w.rollOut("1", "2", in)
		p, err := w.agent().Plan(t.Context(), agent.SyncOptions{})
		want := map[bool]string{false: "1", true: "2"}[in]
		if err != nil || p.Target.Version != want || p.Rollout == nil || p.Rollout.In != in {
			t.Errorf("in: %t: %+v, %v", in, p, err)
		}
	}
	if !slices.Equal(w.signals, []lifecycle.Result{lifecycle.Continue}) || w.running != "1" {
		t.Errorf("it did something: %v, %s runs", w.signals, w.running)
	}
}

// A machine for which nothing has changed does not wait for its part of the spread.
func TestSpreadInARollout(t *testing.T) {
	w := rolled(t)
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.spreadSeconds, w.waits = 600, nil
	w.rollOut("1", "2", false)
	if _, err := w.looks(); err != nil || len(w.waits) != 0 {
		t.Errorf("%v, waited for %q", err, w.waits)
	}
}
