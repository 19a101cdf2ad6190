package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent/lease"
	"koboshi/agent/notice"
	"koboshi/agent/report"
)

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
