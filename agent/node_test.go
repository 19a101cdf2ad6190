package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/nodeid"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/artifacts"
)

// numbered is a machine whose app gets a node id, in fake time, with a watch that runs.
func numbered(t *testing.T, f func(*testing.T, *sky)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.node = leasetest.NewMemory(leasetest.Objects, "web")
		w.now = time.Now()
		w.release("1")
		s := &sky{world: w, clockSet: make(chan struct{}, 1)}
		s.levels = notice.Levels{Target: "InService"}
		s.watch()
		f(t, s)
		s.end()
	})
}

// tenure is what the machine knows of its lease.
func (w *world) tenure() nodeid.Record {
	w.t.Helper()
	dir := w.open("state")
	defer func() { _ = dir.Close() }()
	r, warning, err := nodeid.Load(dir)
	if warning != nil || err != nil {
		w.t.Fatal(warning, err)
	}
	return r
}

// variable is one of the app's.
func (w *world) variable(name string) string {
	w.t.Helper()
	env, err := os.ReadFile(filepath.Join(w.dir, "run", "env"))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(env)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	return ""
}

// item is what the table has of the one id that is there.
func (w *world) item() lease.Item {
	w.t.Helper()
	items := w.node.Items()
	if len(items) != 1 {
		w.t.Fatalf("%d ids in the table, want one", len(items))
	}
	for _, i := range items {
		return i
	}
	return lease.Item{}
}

// step sets the machine's clock, which systemd and the watch see at once.
func (s *sky) step(by time.Duration) {
	s.gate.Lock()
	s.stepped += by
	s.rearm()
	s.gate.Unlock()
	s.clockSet <- struct{}{}
	synctest.Wait()
}

func (s *sky) launched() {
	s.t.Helper()
	if _, err := s.boot(); err != nil {
		s.t.Fatal(err)
	}
}

// At a launch an id is claimed before the app is started, the app is told, and PID 1 is
// to stop it in time. The watch renews it, and a drain gives it back.
func TestNodeID(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		r, i := s.tenure(), s.item()
		if i.State != lease.Held || i.Owner != self || i.Gen != 1 || r.ID != i.ID || r.Phase != lease.Holding || r.Until != i.HW {
			t.Errorf("record %+v of item %+v", r, i)
		}
		if v := s.variable("KOBOSHI_NODE_GEN"); v != "1" {
			t.Errorf("KOBOSHI_NODE_GEN is %q", v)
		}
		if end := time.UnixMilli(i.HW); s.armed.IsZero() || s.armed.After(end.Add(-15*time.Second)) || s.armed.Before(end.Add(-17*time.Second)) {
			t.Errorf("PID 1 stops the app at %s, the lease ends at %s", s.armed, end)
		}
		s.after(5 * time.Hour)
		if now := s.item(); s.running != "1" || now.Gen != 1 || now.HW < time.Now().Add(30*time.Minute).UnixMilli() || s.tenure().Until != now.HW {
			t.Errorf("running %q after 5 h, item %+v; warnings %q", s.running, now, s.warnings)
		}
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		if i := s.item(); i.State != lease.Free || i.HW > time.Now().UnixMilli() || s.running != "" || !s.armed.IsZero() || s.tenure() != (nodeid.Record{}) {
			t.Errorf("running %q after the drain, item %+v, record %+v; warnings %q", s.running, i, s.tenure(), s.warnings)
		}
		if !slices.Equal(s.story, []string{"stop ", "restart 1", "gate 1", "stop 1"}) {
			t.Errorf("story %q", s.story)
		}
	})
}

// An app that is started anew uses no moment that it has used before.
func TestNodeIDAcrossSync(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(time.Minute)
		s.release("2")
		before := s.tenure()
		if _, err := s.sync(); err != nil {
			t.Fatal(err)
		}
		now := s.tenure()
		if now.ID != before.ID || now.Gen != before.Gen || now.Floor < before.Floor+time.Minute.Milliseconds() || s.running != "2" {
			t.Errorf("running %q, before %+v, now %+v", s.running, before, now)
		}
		restarts := s.restarts
		if _, err := s.sync(); err != nil || s.restarts != restarts {
			t.Errorf("a sync without anything new: %v, %d restarts", err, s.restarts-restarts)
		}
	})
}

// A clean reboot goes on with the same id above its mark, without a call; after a power
// cut it is another one.
func TestNodeIDAfterReboot(t *testing.T) {
	for name, c := range map[string]struct{ clean, same bool }{"clean": {true, true}, "power cut": {false, false}} {
		t.Run(name, func(t *testing.T) {
			numbered(t, func(t *testing.T, s *sky) {
				s.firmwareID = self
				s.launched()
				s.after(time.Minute)
				before := s.tenure()
				if s.stopping = c.clean; c.clean {
					s.running = "" // systemd stops the app
				}
				s.end()
				s.bootID, s.since, s.running, s.stopping = "two", time.Now(), "", false
				s.pid1.Stop()
				s.watch()
				calls := s.node.Calls("")
				s.launched()
				now := s.tenure()
				if same := now.ID == before.ID; same != c.same || s.running != "1" || c.same && (now.Gen != before.Gen || now.Floor <= before.Floor || s.node.Calls("") != calls) {
					t.Errorf("running %q, before %+v, now %+v, %d calls", s.running, before, now, s.node.Calls("")-calls)
				}
			})
		})
	}
}

// An app whose lease cannot be renewed is stopped before the end, and started again with
// an id as soon as the table answers.
func TestNodeIDTableAway(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		before := s.tenure()
		s.node.Down(os.ErrDeadlineExceeded)
		s.after(50 * time.Minute)
		if s.running != "1" {
			t.Errorf("stopped before its time: %q, warnings %q", s.story, s.warnings)
		}
		s.after(10 * time.Minute)
		if s.running != "" || !slices.Contains(s.story, "PID 1 stops 1") {
			t.Errorf("runs on: %q", s.story)
		}
		s.node.Down(nil)
		s.after(5 * time.Minute)
		if s.relaunchs == 0 {
			t.Fatalf("the boot was not started again; warnings %q", s.warnings)
		}
		s.launched()
		if now := s.tenure(); s.running != "1" || now.Phase != lease.Holding || now.ID == before.ID && now.Gen == before.Gen && now.Floor <= before.Floor {
			t.Errorf("running %q, before %+v, now %+v", s.running, before, now)
		}
	})
}

// Without a watch no id is claimed.
func TestNodeIDNeedsWatch(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.end()
		rep, err := s.boot()
		if err == nil || rep.Error == nil || rep.Error.Code != 22 || s.running != "" || len(s.node.Items()) != 0 {
			t.Errorf("%v, report %+v, running %q, items %v", err, rep.Error, s.running, s.node.Items())
		}
		s.watch()
	})
}

// A clock that was set back while the app ran has shown more than it shows now: the app
// may have used that, and does not use it again.
func TestNodeIDMarkAfterClockSetBack(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(20 * time.Minute)
		used := s.clock().UnixMilli()
		s.step(-10 * time.Second) // above NOT_BEFORE still
		if _, err := s.run(t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
			return a.Sync(ctx, agent.SyncOptions{Force: true})
		}); err != nil {
			t.Fatal(err)
		}
		if now := s.tenure(); now.Floor < used || s.clock().UnixMilli() <= used || s.running != "1" {
			t.Errorf("used up to %d, started at %d by the record %+v", used, s.clock().UnixMilli(), now)
		}
	})
}

// A clock that goes forth and back again between two looks has shown the later time.
func TestNodeIDMarkAfterClockSetForthAndBack(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(5 * time.Minute)
		s.step(25 * time.Second)
		used := s.clock().UnixMilli()
		s.step(-25 * time.Second)
		s.after(10 * time.Second)
		if _, err := s.run(t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
			return a.Sync(ctx, agent.SyncOptions{Force: true})
		}); err != nil {
			t.Fatal(err)
		}
		if now := s.tenure(); now.Floor < used || s.clock().UnixMilli() <= used || s.running != "1" {
			t.Errorf("used up to %d, floor %d, now %d", used, now.Floor, s.clock().UnixMilli())
		}
	})
}

// An app whose clock is set back below its bounds is stopped at once.
func TestNodeIDClockBelowBounds(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(time.Second)
		s.release("2")
		if _, err := s.sync(); err != nil {
			t.Fatal(err)
		}
		s.after(time.Minute)
		s.step(-2 * time.Minute)
		if r := s.tenure(); s.running != "" || r.Phase != lease.Stopped || r.Mark <= s.clock().UnixMilli() {
			t.Errorf("running %q, record %+v; warnings %q", s.running, r, s.warnings)
		}
	})
}

// A renewal that hangs keeps no one from seeing that the clock was set back.
func TestNodeIDClockBelowBoundsInARenewal(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(15 * time.Minute)
		s.release("2")
		if _, err := s.sync(); err != nil {
			t.Fatal(err)
		}
		s.node.Latency(func() time.Duration { return time.Hour })
		for calls := s.node.Calls(""); s.node.Calls("") == calls; {
			s.after(5 * time.Second)
		}
		s.step(-10 * time.Minute)
		s.after(15 * time.Second)
		if r := s.tenure(); s.running != "" || r.Phase != lease.Stopped {
			t.Errorf("running %q, record %+v; warnings %q", s.running, r, s.warnings)
		}
	})
}

// What was used while the clock was far ahead is in the table before the id is left to
// others: a boot does not give it up before it can ask.
func TestNodeIDAfterClockFarAhead(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(time.Minute)
		before := s.tenure()
		s.step(2 * time.Hour) // over the end
		s.after(time.Minute)
		used := s.tenure().Mark
		s.step(-2 * time.Hour)
		s.firmwareID = self
		s.after(2 * time.Minute)
		s.launched()
		now := s.tenure()
		if used <= before.Until || now.ID == before.ID || s.running != "1" {
			t.Errorf("before %+v, used up to %d, now %+v, running %q", before, used, now, s.running)
		}
		for _, i := range s.node.Items() {
			if i.ID == before.ID && (i.State != lease.Free || i.HW < used) {
				t.Errorf("the table has %+v, want it free with a mark of %d at least", i, used)
			}
		}
	})
}

// Where no id is required the app runs without one, is not started anew for the want of
// it, and gets one as soon as there is one.
func TestNodeIDNotRequired(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.nodeKeys = "required = false\n"
		s.node.Down(os.ErrDeadlineExceeded)
		rep, err := s.boot()
		if err != nil || s.running != "1" || s.variable("KOBOSHI_NODE_ID") != "" || len(rep.Warnings) == 0 {
			t.Fatalf("running %q, %v, warnings %q", s.running, err, rep.Warnings)
		}
		restarts := s.restarts
		if _, err := s.sync(); err != nil || s.restarts != restarts {
			t.Errorf("a sync without the table: %v, %d restarts", err, s.restarts-restarts)
		}
		s.node.Down(nil)
		if _, err := s.sync(); err != nil || s.restarts != restarts+1 || s.variable("KOBOSHI_NODE_ID") == "" || s.tenure().Phase != lease.Holding {
			t.Errorf("a sync with the table: %v, %d restarts, record %+v", err, s.restarts-restarts, s.tenure())
		}
	})
}

// An app that is only reloaded runs on under its lease.
func TestNodeIDWithReload(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.reload = true
		s.launched()
		before, armed := s.tenure(), s.armed
		s.after(time.Minute)
		s.release("2")
		if _, err := s.sync(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(s.tenure(), before) || s.armed != armed || slices.Contains(s.story, "stop 1") || s.running != "2" {
			t.Errorf("story %q, before %+v, now %+v", s.story, before, s.tenure())
		}
	})
}

// powerCycle is a start of the machine after it was off for a while, cleanly or not.
func (s *sky) powerCycle(clean bool, off time.Duration) {
	s.t.Helper()
	if s.stopping = clean; clean {
		s.running = "" // systemd stops the app
	}
	s.end()
	if s.pid1 != nil {
		s.pid1.Stop()
	}
	<-time.After(off)
	s.bootID, s.since, s.running, s.stopping = s.bootID+"x", time.Now(), "", false
	s.watch()
}

// After a power cut nobody knows what the app has used: even an id that has run out
// meanwhile is taken from others first.
func TestNodeIDAfterLongPowerCut(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		before := s.tenure()
		s.powerCycle(false, 3*time.Hour)
		s.launched()
		if now := s.tenure(); now.ID == before.ID || s.running != "1" {
			t.Errorf("before %+v, now %+v", before, now)
		}
	})
}

// An id that was claimed and not used yet is still there after a power cut.
func TestNodeIDClaimedBeforePowerCut(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.hooks = artifacts.Hooks{PreStart: []string{"prepare"}}
		s.release("2")
		s.hookFails = map[string]error{"pre_start 2": errors.New("not now")}
		if _, err := s.boot(); err == nil {
			t.Fatal("the boot succeeded")
		}
		before := s.tenure()
		s.powerCycle(false, time.Minute)
		s.hookFails = nil
		s.launched()
		if now := s.tenure(); before.Phase != lease.Stopped || now.ID != before.ID || now.Gen != before.Gen || now.Phase != lease.Holding {
			t.Errorf("before %+v, now %+v", before, now)
		}
	})
}

// What was used before a power cut is not known, so a drain gives nothing back.
func TestNodeIDDrainAfterPowerCut(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		before := s.item()
		s.powerCycle(false, time.Minute)
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		if now := s.item(); now != before {
			t.Errorf("before %+v, now %+v", before, now)
		}
	})
}

// An instance that comes back keeps its id, with its mark.
func TestNodeIDKeptByWhatReturns(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		before := s.tenure()
		s.after(time.Minute)
		s.now(notice.Levels{Target: "ReplacingRootVolume"})
		s.after(time.Minute)
		if r := s.tenure(); r.Phase != lease.Stopped || r.Mark < before.Started+time.Minute.Milliseconds() || s.item().State != lease.Held || s.running != "" {
			t.Errorf("running %q, record %+v, item %+v", s.running, r, s.item())
		}
	})
}

// A generator that runs ahead of the clock has used what is ahead.
func TestNodeIDAhead(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.end()
		s.nodeKeys = "ahead = \"5m\"\n"
		s.watch()
		s.launched()
		if end := time.UnixMilli(s.item().HW); s.armed.After(end.Add(-5*time.Minute - 15*time.Second)) {
			t.Errorf("PID 1 stops the app at %s, the lease ends at %s", s.armed, end)
		}
		s.now(notice.Levels{Target: "Terminated"})
		s.after(time.Minute)
		if i := s.item(); i.State != lease.Free || i.HW < time.Now().Add(4*time.Minute).UnixMilli() {
			t.Errorf("item %+v at %d", i, time.Now().UnixMilli())
		}
	})
}

// Another table is another set of ids, whatever the scope is called.
func TestNodeIDInAnotherTable(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		before := s.tenure()
		s.nodeKeys = "table = \"s3://elsewhere/ids\"\n"
		s.node = leasetest.NewMemory(leasetest.Objects, "web")
		s.end()
		s.watch() // it renews what its configuration said when it was started
		s.release("2")
		if _, err := s.sync(); err != nil {
			t.Fatal(err)
		}
		if now := s.tenure(); now.Table == before.Table || len(s.node.Items()) != 1 || s.running != "2" {
			t.Errorf("before %+v, now %+v, items %v", before, now, s.node.Items())
		}
	})
}

// A table that does not answer keeps no drain: neither by the renewal that is under way,
// nor when the id is given back.
func TestNodeIDDrainWhileTableHangs(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.node.Latency(func() time.Duration { return time.Hour })
		for calls := s.node.Calls(""); s.node.Calls("") == calls; {
			s.after(5 * time.Second)
		}
		s.now(notice.Levels{Target: "Terminated"})
		s.after(45 * time.Second)
		if r := s.tenure(); len(s.drains) != 1 || s.running != "" || r.Phase != lease.Releasing {
			t.Errorf("drains %q, running %q, record %+v; warnings %q", s.drains, s.running, r, s.warnings)
		}
	})
}

// A watch that renews by an earlier configuration would tell the app other bounds than
// those that it was started with: nothing is started until it reads the new one.
func TestNodeIDUnitChangedBeneathWatch(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.after(time.Minute)
		s.nodeKeys = "unit = \"1s\"\n"
		s.release("2")
		if rep, err := s.sync(); err == nil || rep.Error == nil || rep.Error.Code != 22 || s.running != "1" {
			t.Errorf("%v, running %q", err, s.running)
		}
		s.end()
		s.watch()
		if _, err := s.sync(); err != nil || s.running != "2" {
			t.Errorf("%v, running %q; warnings %q", err, s.running, s.warnings)
		}
	})
}

// An id that the configuration does not give any more is not kept: a generator with fewer
// bits would cut it off. It is given back once the app has another.
func TestNodeIDOutsideSmallerRange(t *testing.T) {
	for name, keys := range map[string]string{"range": "range = [0, 31]\nsplit = [0, 5]\n", "reserved": "reserved = [%d]\n"} {
		t.Run(name, func(t *testing.T) {
			numbered(t, func(t *testing.T, s *sky) {
				s.launched()
				before := s.tenure()
				s.end()
				if s.nodeKeys = keys; name == "reserved" {
					s.nodeKeys = fmt.Sprintf(keys, before.ID)
				}
				s.watch()
				if _, err := s.sync(); err != nil {
					t.Fatal(err)
				}
				now, old := s.tenure(), s.node.Items()[before.ID]
				if now.ID == before.ID || name == "range" && now.ID > 31 || now.Phase != lease.Holding || s.running != "1" || old.State != lease.Free || s.variable("KOBOSHI_NODE_ID") != strconv.Itoa(now.ID) {
					t.Errorf("before %+v, now %+v, the old one %+v", before, now, old)
				}
			})
		})
	}
}
