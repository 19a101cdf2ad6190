package agent_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/lease/leasetest"
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

// watchNothing is a machine that is gone.
func (s *sky) watchNothing() {
	s.pid1.Stop()
	s.done = make(chan error, 1)
	s.done <- nil
}

// tenureEnded reports whether the machine knows that its app is down.
func (s *sky) tenureEnded() bool { return s.tenure().Phase == lease.Stopped }
