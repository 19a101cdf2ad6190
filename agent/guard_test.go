package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/group"
	"koboshi/agent/guard"
)

// A run around a quiet group takes 14 calls, a check four, or five with CodeDeploy.
func TestGuardRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		w.check(w.deploys.Set("shop", "blue"))
		w.check(w.model.Suspend("web", autoscaling.HealthCheck))
		before := w.suspended()
		for round, most := range []int{17, 14} {
			l := w.line()
			p := &program{takes: time.Second, code: 3, do: func() {
				if got := w.suspended(); !strings.Contains(got, "AZRebalance") || !strings.Contains(got, "AlarmNotification") || strings.Contains(got, "Launch") {
					t.Errorf("suspended while it runs: %s", got)
				}
			}}
			out, err := l.run(p)
			w.check(err)
			if !out.Started || out.Code != 3 || out.Ending != ByItself || out.Held[0].Fence != int64(round+1) {
				t.Errorf("%+v", out)
			}
			if want := []string{fmt.Sprintf("KOBOSHI_GUARD_FENCE=%d", round+1), "KOBOSHI_GUARD_GROUP=web"}; !slices.Equal(p.env, want) {
				t.Errorf("environment %q", p.env)
			}
			if got := w.suspended(); got != before {
				t.Errorf("afterwards %s, want %s", got, before)
			}
			t.Logf("run %d: %d calls: %s", round+1, len(l.calls), strings.Join(l.calls, " "))
			if len(l.calls) > most {
				t.Errorf("%d calls, want at most %d", len(l.calls), most)
			}
		}
		l := w.line()
		g := l.guard("ci")
		g.Application, g.Deployments = "shop", "blue"
		all, err := g.Check(t.Context())
		w.check(err)
		t.Logf("check: %d calls: %s", len(l.calls), strings.Join(l.calls, " "))
		if len(l.calls) > 5 || !all[0].Safe {
			t.Errorf("%d calls, %+v", len(l.calls), all)
		}
	})
}

// What others do meanwhile stays as they want it.
func TestGuardLeavesOthersAlone(t *testing.T) {
	const rebalance, alarms, launch = autoscaling.AZRebalance, autoscaling.AlarmNotification, autoscaling.Launch
	for name, tt := range map[string]struct {
		meanwhile func(m *autoscaling.Model) error
		want      []autoscaling.Process
		says      string
	}{
		"one added":           {func(m *autoscaling.Model) error { return m.Suspend("web", launch) }, []autoscaling.Process{launch}, ""},
		"one resumed by hand": {func(m *autoscaling.Model) error { return m.Resume("web", rebalance) }, nil, "left AZRebalance alone: someone has resumed it"},
		"all resumed by hand": {func(m *autoscaling.Model) error { return m.Resume("web") }, nil, "someone has resumed it"},
		"resumed and suspended again": {func(m *autoscaling.Model) error {
			return errors.Join(m.Resume("web", alarms), m.Suspend("web", alarms))
		}, []autoscaling.Process{alarms}, "left AlarmNotification alone: someone else suspended it"},
		"suspended on top, not renewing": {func(m *autoscaling.Model) error { return m.Suspend("web", alarms) }, nil, "resumed AZRebalance, AlarmNotification"},
	} {
		for _, killed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newGuardWorld(t)
				l := w.line()
				p := &program{takes: 2 * time.Hour, do: func() {
					time.AfterFunc(90*time.Minute, func() {
						if err := tt.meanwhile(w.model); err != nil {
							t.Error(err)
						}
						if killed {
							l.kill()
						}
					})
				}}
				_, err := l.run(p)
				if !killed {
					w.check(err)
				} else {
					elapse(4 * time.Minute)
					_, err := w.line().guard("ops").Repair(t.Context(), false)
					w.check(err)
				}
				got := slices.Sorted(maps.Keys(w.model.Suspended("web")))
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s, killed %v: suspended %v, want %v", name, killed, got, tt.want)
				}
				if !strings.Contains(strings.Join(w.said, "\n"), tt.says) {
					t.Errorf("%s, killed %v: %q is not in %q", name, killed, tt.says, w.said)
				}
			})
		}
	}
}

// Of many at once one runs; the others learn who does.
func TestGuardsAtOnce(t *testing.T) {
	for _, n := range []int{2, 20} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t)
			var mu sync.Mutex
			ran, held, at := 0, 0, 0
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					g := w.line().guard(fmt.Sprintf("ci-%d", i))
					p := &program{takes: time.Minute}
					p.do = func() {
						mu.Lock()
						defer mu.Unlock()
						if at++; at > 1 {
							t.Error("two run at once")
						}
					}
					_, err := g.Run(t.Context(), GuardedCommand{Start: p.start(w.line())})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						ran++
						at--
						return
					}
					if _, is := errors.AsType[*guard.HeldError](err); is {
						held++
						return
					}
					t.Errorf("%d: %v", i, err)
				})
			}
			all.Wait()
			t.Logf("%d guards: %d ran, %d found the group held", n, ran, held)
			if ran != 1 || held != n-1 || w.suspended() != "" {
				t.Errorf("%d ran, %d held, suspended %s", ran, held, w.suspended())
			}
		})
	}
}

// A group that is not quiet is waited for, and nothing is suspended meanwhile.
func TestGuardWaits(t *testing.T) {
	hooks := []autoscaling.Hook{{Name: "up", Transition: autoscaling.OnLaunch, HeartbeatTimeout: 5 * time.Minute, DefaultResult: autoscaling.Continue}}
	for name, tt := range map[string]struct {
		wait    time.Duration
		allow   []guard.Code
		change  func(*guardWorld)
		want    error
		started bool
	}{
		"until it is quiet":   {wait: 10 * time.Minute, started: true},
		"not so long":         {wait: time.Minute, want: guard.ErrNotQuiet},
		"not at all":          {want: guard.ErrNotQuiet},
		"it is allowed":       {allow: []guard.Code{guard.Activity, guard.Transition, guard.Capacity}, started: true},
		"Launch is suspended": {wait: 10 * time.Minute, change: func(w *guardWorld) { w.check(w.model.Suspend("web", autoscaling.Launch)) }, want: guard.ErrNotSafe},
		"a deployment is under way": {wait: 10 * time.Minute, change: func(w *guardWorld) {
			w.check(w.deploys.Set("shop", "blue", codedeploy.Deployment{ID: "d-1", Status: "Ready"}))
		}, want: guard.ErrNotQuiet},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newGuardWorld(t, autoscaling.Group{Name: "web", Desired: 2, Hooks: hooks})
			w.check(w.deploys.Set("shop", "blue"))
			if tt.change != nil {
				tt.change(w)
			}
			before := w.suspended()
			g := w.line().guard("ci")
			g.Wait, g.Allow, g.Application, g.Deployments = tt.wait, tt.allow, "shop", "blue"
			p := &program{takes: time.Second}
			began := time.Now()
			out, err := g.Run(t.Context(), GuardedCommand{Start: p.start(w.line())})
			if out.Started != tt.started || !errors.Is(err, tt.want) {
				t.Errorf("%s: %+v, %v after %s", name, out, err, time.Since(began))
			}
			if told := strings.Count(strings.Join(w.said, "\n"), "waiting: "); told > 0 && told < int(time.Since(began)/time.Minute) || told > 40 {
				t.Errorf("%s: %d lines in %s", name, told, time.Since(began))
			}
			if reasons, ok := errors.AsType[*guard.ReasonsError](err); ok && !strings.Contains(reasons.Advice(), "--allow "+string(reasons.Groups[0].Reasons[0].Code)) {
				t.Errorf("%s: %s", name, reasons.Advice())
			}
			if w.suspended() != before {
				t.Errorf("%s: suspended %s", name, w.suspended())
			}
			if held, _ := g.Status(t.Context()); held[0].Record.State != guard.Released {
				t.Errorf("%s: %+v", name, held[0].Record)
			}
		})
	}
}

// A launch that slips in before the suspension is waited for.
func TestGuardLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t, autoscaling.Group{Name: "web", Desired: 2, Template: autoscaling.LaunchOptions{PendingFor: 3 * time.Minute}})
		elapse(5 * time.Minute)
		w.refuse = func(_, operation string, n int) (int, string) {
			if operation == "SuspendProcesses" {
				go func() { _ = w.model.SetDesired("web", 3) }()
			}
			return 0, ""
		}
		began := time.Now()
		p := &program{takes: time.Second, do: func() {
			if took := time.Since(began); took < 3*time.Minute || took > 4*time.Minute {
				t.Errorf("started after %s", took)
			}
		}}
		out, err := w.line().run(p)
		w.check(err)
		if !out.Started {
			t.Errorf("%+v", out)
		}
	})
}

// Several groups are taken together or not at all, with one fence.
func TestGuardOfSeveralGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t, autoscaling.Group{Name: "api"}, autoscaling.Group{Name: "web"}, autoscaling.Group{Name: "worker"})
		guarded := func(holder string, groups ...string) *Guard {
			g := w.line().guard(holder)
			g.Groups = groups
			return g
		}
		one, err := guarded("one", "web").Acquire(t.Context())
		w.check(err)
		if _, err := guarded("two", "api", "web").Acquire(t.Context()); !strings.Contains(fmt.Sprint(err), "group web is held by one") {
			t.Errorf("%v", err)
		}
		_, err = guarded("one", "web").Release(t.Context(), one[0].Fence)
		w.check(err)
		all, err := guarded("two", "api", "web", "worker").Acquire(t.Context())
		w.check(err)
		if len(all) != 3 || all[0].Fence != all[1].Fence || all[1].Fence != all[2].Fence || all[0].Fence <= one[0].Fence {
			t.Errorf("%+v", all)
		}
		if _, err := guarded("one", "web").Release(t.Context(), one[0].Fence); !errors.Is(err, guard.ErrLost) {
			t.Errorf("an old fence: %v", err)
		}
		restored, err := guarded("two", "api", "web", "worker").Release(t.Context(), all[0].Fence)
		w.check(err)
		if len(restored) != 3 || w.suspended() != "" || len(w.model.Suspended("api")) > 0 {
			t.Errorf("%+v", restored)
		}
		calls := w.line()
		g := calls.guard("three")
		g.Groups = []string{"api", "missing"}
		if _, err := g.Acquire(t.Context()); !errors.Is(err, group.ErrNoGroup) {
			t.Errorf("%v", err)
		}
		if keys := w.objects.Keys("releases"); slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, "missing") }) || slices.Contains(calls.calls, http.MethodPut) {
			t.Errorf("%q after %q", keys, calls.calls)
		}
	})
}

// The lease of a pipeline is not renewed by itself, and can be renewed by its fence.
func TestGuardOfAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		acquire := func() int64 {
			g := w.line().guard("pipeline")
			g.Lease = 10 * time.Minute
			all, err := g.Acquire(t.Context())
			w.check(err)
			return all[0].Fence
		}
		fence := acquire()
		elapse(8 * time.Minute)
		g := w.line().guard("pipeline")
		g.Lease = time.Hour
		renewed, err := g.Renew(t.Context(), fence)
		w.check(err)
		if left := time.Until(renewed[0].Until); left < time.Hour-3*time.Second || left > time.Hour {
			t.Errorf("it is held for %s", left)
		}
		if _, err := w.line().guard("ops").Repair(t.Context(), false); err == nil {
			t.Error("repaired while it is held")
		}
		elapse(time.Hour)
		if _, err := w.line().guard("pipeline").Renew(t.Context(), fence); !errors.Is(err, guard.ErrEnded) {
			t.Errorf("renewed after its end: %v", err)
		}
		_, err = w.line().guard("pipeline").Release(t.Context(), fence) // late, but before anyone repaired
		w.check(err)
		if w.suspended() != "" {
			t.Errorf("suspended %s", w.suspended())
		}
		again, err := w.line().guard("pipeline").Release(t.Context(), fence)
		if err != nil || len(again) != 1 || len(again[0].Resumed) > 0 {
			t.Errorf("released twice: %+v, %v", again, err)
		}

		fence = acquire()
		elapse(15 * time.Minute)
		_, err = w.line().guard("ops").Repair(t.Context(), false)
		w.check(err)
		if _, err := w.line().guard("pipeline").Release(t.Context(), fence); !errors.Is(err, guard.ErrLost) {
			t.Errorf("released after a repair: %v", err)
		}
		if _, err := w.line().guard("pipeline").Renew(t.Context(), fence); !errors.Is(err, guard.ErrLost) {
			t.Errorf("renewed after a repair: %v", err)
		}
	})
}

// Signals go to the command, and the group is put back afterwards. Before the command
// starts, the end of the context undoes what was done.
func TestGuardGetsSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuardWorld(t)
		signals := make(chan os.Signal, 1)
		p := &program{takes: time.Hour, do: func() { time.AfterFunc(time.Minute, func() { signals <- syscall.SIGINT }) }}
		out, err := w.line().guard("ci").Run(t.Context(), GuardedCommand{Start: p.start(w.line()), Signals: signals})
		if err != nil || out.Code != 130 || out.Ending != ByItself || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", out, err, w.suspended())
		}
		p = &program{takes: time.Hour, deaf: true}
		out, err = w.line().guard("ci").Run(t.Context(), GuardedCommand{Start: p.start(w.line()), Timeout: time.Minute})
		if err != nil || out.Code != 137 || out.Ending != ByTimeout || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", out, err, w.suspended())
		}
		broken := errors.New("no such program")
		out, err = w.line().guard("ci").Run(t.Context(), GuardedCommand{Start: func([]string) (Started, error) { return nil, broken }})
		if !errors.Is(err, broken) || out.Started || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", out, err, w.suspended())
		}
		for _, after := range []time.Duration{30 * time.Millisecond, 150 * time.Millisecond, 210 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			_, err = w.line().guard("ci").Run(ctx, GuardedCommand{Start: p.start(w.line())})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || w.suspended() != "" {
				t.Errorf("after %s: %v, suspended %s", after, err, w.suspended())
			}
			if held, _ := w.line().guard("ops").Status(t.Context()); held[0].Record.State != guard.Released {
				t.Errorf("after %s: %+v", after, held[0].Record)
			}
		}
	})
}
