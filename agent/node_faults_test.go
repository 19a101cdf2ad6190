package agent_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
	"koboshi/agent/nodeid"
	"koboshi/agent/notice"
	"koboshi/agent/report"
)

// numbers are machines that share a table of node ids, each with a watch, in fake time.
// Their apps use every moment at which they run; check holds that no two use the same.
type numbers struct {
	t     *testing.T
	table *leasetest.Memory
	all   []*sky
	used  map[int][]usage // by id
}

// usage is what one start of an app has used of an id, in milliseconds by its clock.
type usage struct {
	by       *sky
	start    int
	from, to lease.Millis
}

// shared runs f with the two kinds of tables, with ids from 0 to last.
func shared(t *testing.T, last int, f func(*testing.T, *numbers)) {
	t.Helper()
	for name, kind := range map[string]leasetest.Kind{"S3": leasetest.Objects, "DynamoDB": leasetest.Rows} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &numbers{t: t, table: leasetest.NewMemory(kind, "web"), used: map[int][]usage{}}
				for i := range 2 {
					n.all = append(n.all, n.machine(i, last))
				}
				f(t, n)
				n.pass(time.Second)
				n.check()
				for _, s := range n.all {
					s.end()
				}
			})
		})
	}
}

func (n *numbers) machine(i, last int) *sky {
	w := newWorld(n.t)
	w.id = fmt.Sprintf("i-0123456789abcdef%d", i)
	w.firmwareID, w.nonces, w.node, w.now = w.id, byte(1+100*i), n.table, time.Now()
	w.nodeKeys = fmt.Sprintf("order = \"lowest\"\nrange = [0, %d]\n", last)
	w.release("1")
	s := &sky{world: w, levels: notice.Levels{Target: "InService"}, clockSet: make(chan struct{}, 1)}
	s.watch()
	return s
}

// pass lets time pass, and notes what the apps use.
func (n *numbers) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		for _, s := range n.all {
			n.note(s)
		}
		if !time.Now().Before(end) {
			return
		}
		<-time.After(min(5*time.Second, time.Until(end)))
		synctest.Wait()
	}
}

func (n *numbers) note(s *sky) {
	if s.running == "" {
		return
	}
	id, now := s.ranAs(), s.clock().UnixMilli()
	of := n.used[id]
	if last := len(of) - 1; last >= 0 && of[last].by == s && of[last].start == s.restarts {
		of[last].from, of[last].to = min(of[last].from, now), max(of[last].to, now)
		return
	}
	n.used[id] = append(of, usage{s, s.restarts, now, now})
}

// ranAs is the id that the app was last started with.
func (s *sky) ranAs() int {
	for _, v := range s.envs[len(s.envs)-1] {
		if text, ok := strings.CutPrefix(v, "KOBOSHI_NODE_ID="); ok {
			id, err := strconv.Atoi(text)
			if err != nil {
				s.t.Fatal(err)
			}
			return id
		}
	}
	s.t.Fatal("the app was started without an id")
	return -1
}

func (n *numbers) check() {
	n.t.Helper()
	for id, of := range n.used {
		slices.SortFunc(of, func(a, b usage) int { return cmp.Compare(a.from, b.from) })
		for i := range of[1:] {
			if a, b := of[i], of[i+1]; b.from <= a.to {
				n.t.Errorf("id %d was used by %s up to %d and by %s from %d on", id, a.by.id, a.to, b.by.id, b.from)
			}
		}
	}
}

// stands asserts how a machine stands, such as "id 0, generation 1, held, running 1,
// signals [CONTINUE]", and what its run ended with.
func (s *sky) stands(rep report.Report, code int, want string) {
	s.t.Helper()
	got := "no id"
	if r := s.tenure(); r.Instance == s.id {
		got = fmt.Sprintf("id %d, generation %d, %s", r.ID, r.Gen, r.Phase)
	}
	got += fmt.Sprintf(", running %s, signals %v", cmp.Or(s.running, "nothing"), s.signals)
	ended := 0
	if rep.Error != nil {
		ended = rep.Error.Code
	}
	if got != want || ended != code {
		s.t.Errorf("got  %s, exit %d\nwant %s, exit %d; %+v", got, ended, want, code, rep.Error)
	}
}

// tableHas asserts the item of an id: its generation, state and owner.
func (n *numbers) tableHas(id int, gen int64, state lease.State, owner *sky) lease.Item {
	n.t.Helper()
	i, found := n.table.Items()[id]
	if !found || i.Gen != gen || i.State != state || i.Owner != owner.id {
		n.t.Errorf("item %d is %+v, want generation %d, %s, of %s", id, i, gen, state, owner.id)
	}
	return i
}

// bootAll boots the machines at once.
func (n *numbers) bootAll() (reports []report.Report) {
	reports = make([]report.Report, len(n.all))
	var boots sync.WaitGroup
	for i, s := range n.all {
		boots.Go(func() { reports[i], _ = s.boot() })
	}
	boots.Wait()
	return reports
}

func boot(s *sky) report.Report {
	rep, _ := s.boot()
	return rep
}

func TestNodeIDTwoClaimants(t *testing.T) {
	shared(t, 1, func(_ *testing.T, n *numbers) {
		n.table.Latency(func() time.Duration { return 20 * time.Millisecond })
		reports := n.bootAll()
		a, b := n.all[0], n.all[1]
		if a.tenure().ID == 1 {
			a, b, reports = b, a, []report.Report{reports[1], reports[0]}
		}
		a.stands(reports[0], 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		b.stands(reports[1], 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		n.pass(5 * time.Hour)
		n.tableHas(0, 1, lease.Held, a)
		n.tableHas(1, 1, lease.Held, b)
	})
}

// lost is an answer that is lost after the write took effect.
func lost(skip int) leasetest.Fault {
	return leasetest.Fault{Op: leasetest.Swap, Skip: skip, Times: 1, Err: leasetest.ErrLostAnswer, Applied: true}
}

func TestNodeIDAnswerOfClaimLost(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		n.table.Fail(lost(0))
		a.stands(boot(a), 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		b.stands(boot(b), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		if i := n.tableHas(0, 1, lease.Held, a); i.HW != a.tenure().Until {
			t.Errorf("item %+v, record %+v", i, a.tenure())
		}
		n.pass(5 * time.Hour)
		if i := n.tableHas(0, 1, lease.Held, a); i.HW != a.tenure().Until {
			t.Errorf("item %+v, record %+v", i, a.tenure())
		}
	})
}

// A claim that is lost, and arrives a minute late: at an id that its sender has got
// meanwhile, or that another one has.
func TestNodeIDClaimArrivesLate(t *testing.T) {
	late := leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Minute}}
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		n.table.Fail(late)
		a.stands(boot(a), 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		before := n.tableHas(0, 1, lease.Held, a)
		n.pass(2 * time.Minute)
		if now := n.tableHas(0, 1, lease.Held, a); now != before {
			t.Errorf("before %+v, now %+v", before, now)
		}
	})
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		n.table.Fail(late)
		n.table.Fail(leasetest.Fault{Op: leasetest.Get, Times: 1, Err: leasetest.ErrLostAnswer, Before: func() { b.launched() }})
		a.stands(boot(a), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		before := n.tableHas(0, 1, lease.Held, b)
		n.pass(2 * time.Minute)
		if now := n.tableHas(0, 1, lease.Held, b); now != before {
			t.Errorf("before %+v, now %+v", before, now)
		}
		b.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
	})
}

func TestNodeIDNoneLeft(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		began := time.Now()
		b.stands(boot(b), 22, "no id, running nothing, signals [ABANDON]")
		if took := time.Since(began); took < 14*time.Minute || took > 16*time.Minute {
			t.Errorf("waited %s for an id, with a deadline of 15 min", took)
		}
		n.tableHas(0, 1, lease.Held, a)
		a.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
	})
}

// Ids that the dead hold are taken as soon as their leases have ended, and used above
// what may have been used, which is waited for.
func TestNodeIDAllHeldByTheDead(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		n.pass(time.Minute)
		dead := n.tableHas(0, 1, lease.Held, a)
		a.running = "" // terminated: there was no drain
		a.end()
		a.watchNothing()
		n.pass(55 * time.Minute)
		b.stands(boot(b), 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
		r, now := b.tenure(), time.Now().UnixMilli()
		if r.Floor != dead.HW+dead.Slack || now <= r.Floor || now > r.Floor+time.Minute.Milliseconds() {
			t.Errorf("floor %d at %d, the dead's mark %d and slack %d", r.Floor, now, dead.HW, dead.Slack)
		}
		n.tableHas(0, 2, lease.Held, b)
	})
}

// watchNothing is a machine that is gone.
func (s *sky) watchNothing() {
	s.pid1.Stop()
	s.done = make(chan error, 1)
	s.done <- nil
}

// A holder whose watch hangs past the end of its lease is stopped by PID 1, another one
// takes its id, and it gets none back when it goes on.
func TestNodeIDHolderStopped(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		n.pass(time.Minute)
		a.end() // SIGSTOP: nothing of it goes on
		n.pass(64 * time.Minute)
		if a.running != "" || !slices.Contains(a.story, "PID 1 stops 1") {
			t.Fatalf("it runs on: %q", a.story)
		}
		mark := n.tableHas(0, 1, lease.Held, a)
		b.stands(boot(b), 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
		if r := b.tenure(); r.Floor != mark.HW+mark.Slack {
			t.Errorf("floor %d above the mark %d", r.Floor, mark.HW)
		}
		a.watch() // SIGCONT
		n.pass(5 * time.Minute)
		if a.relaunchs == 0 || !a.tenureEnded() {
			t.Errorf("%d boots, record %+v; warnings %q", a.relaunchs, a.tenure(), a.warnings)
		}
		rep := boot(a)
		a.stands(rep, 22, fmt.Sprintf("id 0, generation 1, %s, running nothing, signals [CONTINUE]", lease.Stopped))
		n.tableHas(0, 2, lease.Held, b)
		b.stands(report.Report{}, 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
	})
}

// tenureEnded reports whether the machine knows that its app is down.
func (s *sky) tenureEnded() bool { return s.tenure().Phase == lease.Stopped }

func TestNodeIDAnswerOfRenewalLost(t *testing.T) {
	for name, f := range map[string]leasetest.Fault{
		"lost":          lost(0),
		"never arrived": {Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer},
		"a minute late": {Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Minute}},
		"an hour late":  {Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{time.Hour}},
		"twice":         {Op: leasetest.Swap, Times: 1, Again: []time.Duration{time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 1, func(t *testing.T, n *numbers) {
				a := n.all[0]
				a.launched()
				var marks []lease.Millis
				n.table.Watch(func(_ int, _, is *lease.Item) { marks = append(marks, is.HW) })
				n.table.Fail(f)
				n.pass(3 * time.Hour)
				a.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
				if i := n.tableHas(0, 1, lease.Held, a); i.HW != a.tenure().Until || !slices.IsSorted(marks) || len(marks) < 8 || a.restarts != 1 {
					t.Errorf("item %+v, record %+v, marks %v, %d starts", i, a.tenure(), marks, a.restarts)
				}
			})
		})
	}
}

// The answer of a release is lost, or the release is, or it comes later: the drain goes on,
// and the next holder is above the mark.
func TestNodeIDAnswerOfReleaseLost(t *testing.T) {
	for name, c := range map[string]struct {
		fault leasetest.Fault
		free  time.Duration // after the drain
	}{
		"lost":          {lost(0), 0},
		"never arrived": {leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer}, 66 * time.Minute},
		"a minute late": {leasetest.Fault{Op: leasetest.Swap, Times: 1, Err: leasetest.ErrLostAnswer, Again: []time.Duration{2 * time.Minute}}, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 0, func(t *testing.T, n *numbers) {
				a, b := n.all[0], n.all[1]
				a.launched()
				n.pass(time.Minute)
				used := time.Now().UnixMilli()
				n.table.Fail(c.fault)
				a.hook, a.inState = "koboshi-terminating", "Terminating:Wait"
				a.now(notice.Levels{Target: "Terminated"})
				n.pass(time.Minute)
				if a.running != "" || fmt.Sprint(a.signals) != "[CONTINUE CONTINUE]" || !slices.Equal(a.drains, []string{"drained terminated"}) || a.tenure().Phase == lease.Holding {
					t.Errorf("running %q, signals %v, drains %v, record %+v", a.running, a.signals, a.drains, a.tenure())
				}
				n.pass(c.free)
				b.stands(boot(b), 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
				if r := b.tenure(); r.Floor < used {
					t.Errorf("floor %d, used up to %d", r.Floor, used)
				}
				n.tableHas(0, 2, lease.Held, b)
				n.pass(time.Hour)
			})
		})
	}
}

// A table that is away at a launch ends it after its deadline; after a power cut the app
// stays down, and nothing is signalled twice.
func TestNodeIDTableDownAtBoot(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		b.launched()
		n.table.Down(os.ErrDeadlineExceeded)
		a.stands(boot(a), 22, "no id, running nothing, signals [ABANDON]")
		before := b.tenure()
		b.powerCycle(false, time.Minute)
		b.stands(boot(b), 22, fmt.Sprintf("id %d, generation 1, held, running nothing, signals [CONTINUE]", before.ID))
		n.table.Down(nil)
		n.pass(10 * time.Minute)
		if b.relaunchs == 0 {
			t.Errorf("the boot was not started again; warnings %q", b.warnings)
		}
		b.stands(boot(b), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
	})
}

// A clock that is an hour off claims nothing.
func TestNodeIDClockAtBoot(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": -time.Hour, "ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			shared(t, 1, func(t *testing.T, n *numbers) {
				a, b := n.all[0], n.all[1]
				a.step(off)
				rep := boot(a)
				a.stands(rep, 22, "no id, running nothing, signals [ABANDON]")
				if rep.Error == nil || !strings.Contains(rep.Error.Message+rep.Error.Hint, "clock") {
					t.Errorf("%+v", rep.Error)
				}
				for id, i := range n.table.Items() {
					if i.State != lease.Free || i.HW > time.Now().UnixMilli() {
						t.Errorf("item %d is %+v", id, i)
					}
				}
				b.launched()
				if b.tenure().Floor > time.Now().UnixMilli() {
					t.Errorf("the other machine has to wait: %+v", b.tenure())
				}
			})
		})
	}
}

// A clock that is stepped over the end has PID 1 stop the app, or the watch where that is
// earlier; nothing is claimed until it is right again, and then the id goes on above all
// that it has shown.
func TestNodeIDClockStepsOverTheEnd(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		n.pass(time.Minute)
		before := n.tableHas(0, 1, lease.Held, a)
		a.step(2 * time.Hour)
		n.pass(10 * time.Second)
		if a.running != "" || !slices.Contains(a.story, "PID 1 stops 1") && !slices.Contains(a.story, "stop 1") {
			t.Fatalf("it runs on: %q", a.story)
		}
		n.pass(time.Minute)
		if a.relaunchs == 0 {
			t.Errorf("the boot was not started again; warnings %q", a.warnings)
		}
		a.stands(boot(a), 22, fmt.Sprintf("id 0, generation 1, %s, running nothing, signals [CONTINUE]", lease.Stopped))
		if now := n.tableHas(0, 1, lease.Held, a); now != before {
			t.Errorf("before %+v, now %+v", before, now)
		}
		mark := a.tenure().Mark
		a.step(-2 * time.Hour)
		rep := boot(a)
		r := a.tenure()
		if rep.Error != nil || a.running != "1" || r.ID == 0 && r.Floor < mark || fmt.Sprint(a.signals) != "[CONTINUE]" {
			t.Errorf("running %q, %+v, record %+v, mark %d", a.running, rep.Error, r, mark)
		}
	})
}

// A clock that is set back below the bounds of a live app has the watch stop it, with the
// latest that it showed as the mark. An id of which it is so far ahead is given back.
func TestNodeIDClockSetBackBelowItsBounds(t *testing.T) {
	shared(t, 0, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		b.launched()
		b.now(notice.Levels{Target: "Terminated"})
		b.hook, b.inState = "koboshi-terminating", "Terminating:Wait"
		n.pass(time.Minute)
		a.launched()
		a.stands(report.Report{}, 0, "id 0, generation 2, held, running 1, signals [CONTINUE]")
		n.pass(5 * time.Minute)
		used := a.clock().UnixMilli()
		a.step(-time.Hour)
		a.after(10 * time.Second)
		if r := a.tenure(); a.running != "" || r.Phase != lease.Stopped || r.Mark < used {
			t.Errorf("running %q, record %+v, used up to %d; warnings %q", a.running, r, used, a.warnings)
		}
		rep := boot(a)
		if rep.Error == nil || rep.Error.Code != 22 || a.running != "" {
			t.Errorf("a start below the bounds: running %q, %+v", a.running, rep.Error)
		}
		if i := n.tableHas(0, 2, lease.Free, a); i.HW < used {
			t.Errorf("item %+v, used up to %d", i, used)
		}
		a.step(time.Hour)
		rep = boot(a)
		if r := a.tenure(); rep.Error != nil || a.running != "1" || r.Floor < used {
			t.Errorf("running %q, %+v, record %+v, used up to %d", a.running, rep.Error, r, used)
		}
	})
}

// Whatever is in the place of the record, no id is used twice: what is not known to be this
// machine's lease in this boot is none.
func TestNodeIDStateFile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(text string) string
		want   string
	}{
		"empty":   {func(string) string { return "" }, "id 1, generation 1, held"},
		"garbage": {func(string) string { return "{\"schema\":" }, "id 1, generation 1, held"},
		"zeros":   {func(text string) string { return strings.Repeat("\x00", len(text)) }, "id 1, generation 1, held"},
		"of another instance": {func(text string) string {
			return strings.ReplaceAll(text, "i-0123456789abcdef0", "i-0123456789abcdef9")
		}, "id 1, generation 1, held"},
		"of another boot": {func(text string) string { return strings.ReplaceAll(text, `"one"`, `"another"`) }, "id 1, generation 1, held"},
		"as it was":       {func(text string) string { return text }, "id 0, generation 1, held"},
	} {
		t.Run(name, func(t *testing.T) {
			shared(t, 2, func(t *testing.T, n *numbers) {
				a := n.all[0]
				a.launched()
				n.pass(time.Minute)
				a.end()
				a.bootID = "one"
				path := filepath.Join(a.dir, "state", nodeid.RecordFile)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(c.change(string(text))), 0o600); err != nil {
					t.Fatal(err)
				}
				a.watch()
				a.release("2")
				rep, _ := a.sync()
				a.stands(rep, 0, c.want+", running 2, signals [CONTINUE]")
				n.pass(2 * time.Hour)
				a.stands(rep, 0, c.want+", running 2, signals [CONTINUE]")
			})
		})
	}
}

// An image that was made of a machine with a lease has that machine's record.
func TestNodeIDBakedRecord(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a, b := n.all[0], n.all[1]
		a.launched()
		text, err := os.ReadFile(filepath.Join(a.dir, "state", nodeid.RecordFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "state", nodeid.RecordFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		b.stands(boot(b), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		a.stands(report.Report{}, 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		n.pass(2 * time.Hour)
		n.tableHas(0, 1, lease.Held, a)
		n.tableHas(1, 1, lease.Held, b)
	})
}

// A record that is lost while the app runs: the watch has it started anew with an id that
// the machine knows to hold, and the app never runs on beyond its time.
func TestNodeIDStateFileLostWhileLive(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		n.pass(time.Minute)
		if err := os.WriteFile(filepath.Join(a.dir, "state", nodeid.RecordFile), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		n.pass(10 * time.Second)
		if a.relaunchs != 1 || a.running != "1" {
			t.Fatalf("%d boots, running %q; warnings %q", a.relaunchs, a.running, a.warnings)
		}
		a.stands(boot(a), 0, "id 1, generation 1, held, running 1, signals [CONTINUE]")
		n.pass(2 * time.Hour)
		if a.relaunchs != 1 || a.restarts != 2 {
			t.Errorf("%d boots, %d starts", a.relaunchs, a.restarts)
		}
		n.tableHas(0, 1, lease.Held, a) // frees itself
	})
}

// A scope that is renamed while the app runs: its watch has to be started anew, the new id
// is held before the app is stopped, and the old one is given back with its mark.
func TestNodeIDScopeRenamed(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		n.pass(time.Minute)
		a.renamed, a.nodes = "api", leasetest.NewMemory(leasetest.Objects, "api")
		a.release("2")
		rep, _ := a.sync() // the watch renews those of web
		a.stands(rep, 22, "id 0, generation 1, held, running 1, signals [CONTINUE]")
		n.tableHas(0, 1, lease.Held, a)
		a.end()
		a.watch()
		n.table.Watch(func(_ int, _, is *lease.Item) {
			if is.State == lease.Free && a.nodes.Items()[0].State != lease.Held {
				t.Error("the old id was given back before the new one was held")
			}
		})
		used := time.Now().UnixMilli()
		n.pass(10 * time.Second)
		if a.relaunchs == 0 {
			t.Errorf("the boot was not started again; warnings %q", a.warnings)
		}
		n.used = map[int][]usage{} // ids of another scope are other ids
		rep, _ = a.sync()
		a.stands(rep, 0, "id 0, generation 1, held, running 2, signals [CONTINUE]")
		if old := n.tableHas(0, 1, lease.Free, a); old.HW < used || a.tenure().Scope != "api" || a.nodes.Items()[0].Owner != a.id {
			t.Errorf("old %+v, used up to %d; record %+v; new %+v", old, used, a.tenure(), a.nodes.Items())
		}
		n.pass(2 * time.Hour)
		a.stands(rep, 0, "id 0, generation 1, held, running 2, signals [CONTINUE]")
	})
}

// While PID 1 cannot be told of renewals it stops the app when it was told to, and the
// app is started again: the watch does not take the lease for the moment of the stop.
func TestNodeIDStopNotArmed(t *testing.T) {
	shared(t, 1, func(t *testing.T, n *numbers) {
		a := n.all[0]
		a.launched()
		a.gate.Lock()
		a.armErr = errors.New("no bus")
		a.gate.Unlock()
		n.pass(70 * time.Minute)
		if a.running != "" || a.relaunchs == 0 {
			t.Errorf("running %q, %d boots; warnings %q", a.running, a.relaunchs, a.warnings)
		}
		a.gate.Lock()
		a.armErr = nil
		a.gate.Unlock()
		a.stands(boot(a), 0, "id 0, generation 1, held, running 1, signals [CONTINUE]")
	})
}
