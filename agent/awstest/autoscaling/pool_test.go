package autoscaling

import (
	"testing"
	"testing/synctest"
	"time"
)

// drains is a balancer whose targets take ten seconds.
type drains struct {
	in    map[string]int
	delay time.Duration
}

func (d drains) Register(arn, id string) error { d.in[arn+" "+id]++; return nil }

func (d drains) Deregister(arn, id string) time.Time {
	if d.in[arn+" "+id] == 0 {
		return time.Now()
	}
	delete(d.in, arn+" "+id)
	return time.Now().Add(d.delay)
}

// shown notes what IMDS showed at each change of state.
func shown(t *testing.T, i *Instance) []string {
	t.Helper()
	return []string{string(i.State()), i.Metadata().TargetState}
}

func TestMoves(t *testing.T) {
	both := []Hook{launching("up", time.Hour, ""), terminating("down", time.Hour, "")}
	tests := []struct {
		name    string
		group   Group
		options LaunchOptions
		play    func(t *testing.T, s *Model, i *Instance)
		want    []string
	}{
		{
			name:    "into a pool that stops, and out",
			group:   Group{Hooks: both, Pool: &Pool{}},
			options: LaunchOptions{Warm: true, PendingFor: time.Second, ProceedFor: 2 * time.Second},
			play: func(t *testing.T, s *Model, i *Instance) {
				elapse(time.Second)
				equal(t, shown(t, i), []string{"Warmed:Pending:Wait", "Warmed:Stopped"})
				check(t, complete(s, i, "up", Continue))
				equal(t, i.Off(), false)
				elapse(2 * time.Second)
				equal(t, shown(t, i), []string{"Warmed:Stopped", "Warmed:Stopped"})
				equal(t, i.Off(), true)
				check(t, s.SetDesired("web", 1))
				equal(t, shown(t, i), []string{"Pending", "InService"})
				equal(t, i.Off(), false)
				equal(t, complete(s, i, "up", Continue) != nil, true)
				elapse(time.Second)
				check(t, complete(s, i, "up", Continue))
				elapse(2 * time.Second)
				equal(t, len(s.Instances()), 1)
			},
			want: []string{"Warmed:Pending+0s", "Warmed:Pending:Wait+1s", "Warmed:Pending:Proceed+1s", "Warmed:Stopped+3s", "Pending+3s", "Pending:Wait+4s", "Pending:Proceed+4s", "InService+6s"},
		}, {
			name:    "a pool that runs on, without hooks",
			group:   Group{Pool: &Pool{State: WarmedRunning}},
			options: LaunchOptions{Warm: true},
			play: func(t *testing.T, s *Model, i *Instance) {
				equal(t, shown(t, i), []string{"Warmed:Running", "Warmed:Running"})
				equal(t, i.Off(), false)
				check(t, s.Move(i.ID(), ToService))
			},
			want: []string{"Warmed:Pending+0s", "Warmed:Running+0s", "Pending+0s", "InService+0s"},
		}, {
			name:  "back into the pool, by Terminating:Wait",
			group: Group{Hooks: both[1:], Pool: &Pool{Reuse: true}},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.SetDesired("web", 0))
				equal(t, shown(t, i), []string{"Terminating:Wait", "Warmed:Stopped"})
				check(t, beat(s, i, "down"))
				check(t, complete(s, i, "down", Continue))
				equal(t, i.Off(), true)
				check(t, s.SetDesired("web", 1))
				check(t, s.Move(i.ID(), ToTermination))
				equal(t, shown(t, i), []string{"Terminating:Wait", "Terminated"})
			},
			want: []string{"Pending+0s", "InService+0s", "Terminating+0s", "Terminating:Wait+0s", "Terminating:Proceed+0s", "Warmed:Stopped+0s", "Pending+0s", "InService+0s", "Terminating+0s", "Terminating:Wait+0s"},
		}, {
			name:  "back into the pool, by Warmed:Pending:Wait",
			group: Group{Hooks: both[1:], Pool: &Pool{State: WarmedHibernated, Reuse: true, Back: WarmedPendingWait}},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Move(i.ID(), ToPool))
				equal(t, shown(t, i), []string{"Warmed:Pending:Wait", "Warmed:Hibernated"})
				equal(t, i.Actions()[0].Transition, OnTerminate)
				check(t, complete(s, i, "down", Abandon))
			},
			want: []string{"Pending+0s", "InService+0s", "Warmed:Pending+0s", "Warmed:Pending:Wait+0s", "Warmed:Pending:Proceed+0s", "Warmed:Hibernated+0s"},
		}, {
			name:    "the pool is deleted",
			group:   Group{Hooks: both, Pool: &Pool{}},
			options: LaunchOptions{Warm: true},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, complete(s, i, "up", Continue))
				check(t, s.DeletePool("web"))
				equal(t, shown(t, i), []string{"Warmed:Terminating:Wait", "Warmed:Terminated"})
				elapse(time.Hour)
				<-i.Done()
			},
			want: []string{"Warmed:Pending+0s", "Warmed:Pending:Wait+0s", "Warmed:Pending:Proceed+0s", "Warmed:Stopped+0s", "Warmed:Terminating+0s", "Warmed:Terminating:Wait+0s", "Warmed:Terminating:Proceed+1h0m0s", "Warmed:Terminated+1h0m0s"},
		}, {
			name:  "what is abandoned is retained",
			group: Group{Hooks: both[1:], Retain: true},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Terminate(i.ID()))
				elapse(time.Hour)
				equal(t, shown(t, i), []string{"Terminating:Retained", "Terminated"})
				elapse(time.Hour)
				check(t, s.Terminate(i.ID()))
			},
			want: []string{"Pending+0s", "InService+0s", "Terminating+0s", "Terminating:Wait+0s", "Terminating:Retained+1h0m0s", "Terminated+2h0m0s"},
		}, {
			name:  "standby and back, where no hook fires",
			group: Group{Hooks: both, TargetGroups: []string{"blue"}},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, complete(s, i, "up", Continue))
				elapse(time.Second)
				check(t, s.Move(i.ID(), ToStandby))
				equal(t, shown(t, i), []string{"EnteringStandby", "Standby"})
				elapse(10 * time.Second)
				check(t, s.Move(i.ID(), ToService))
				equal(t, len(i.Actions()), 1)
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+0s", "InService+0s", "EnteringStandby+1s", "Standby+11s", "Pending+11s", "InService+11s"},
		}, {
			name:  "detached",
			group: Group{Hooks: both[1:]},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Move(i.ID(), ToDetached))
				equal(t, shown(t, i), []string{"Detached", "Detached"})
				equal(t, i.Group(), "")
				check(t, s.Terminate(i.ID()))
				equal(t, len(i.Actions()), 0)
			},
			want: []string{"Pending+0s", "InService+0s", "Detaching+0s", "Detached+0s", "Terminated+0s"},
		}, {
			name:  "another root volume",
			group: Group{Hooks: both},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, complete(s, i, "up", Continue))
				check(t, s.Move(i.ID(), ToRootVolume))
				equal(t, shown(t, i), []string{"ReplacingRootVolume:Wait", "RootVolumeReplaced"})
				check(t, complete(s, i, "down", Continue))
				equal(t, shown(t, i), []string{"Pending:Wait", "InService"})
				check(t, complete(s, i, "up", Continue))
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+0s", "InService+0s", "ReplacingRootVolume+0s", "ReplacingRootVolume:Wait+0s", "ReplacingRootVolume:Proceed+0s", "RootVolumeReplaced+0s", "Pending+0s", "Pending:Wait+0s", "Pending:Proceed+0s", "InService+0s"},
		}, {
			name:  "scale-in waits for the load balancers, and the hook for that",
			group: Group{Hooks: both[1:], TargetGroups: []string{"blue", "green"}},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Terminate(i.ID()))
				elapse(10*time.Second - 1)
				equal(t, shown(t, i), []string{"Terminating", "Terminated"})
				equal(t, beat(s, i, "down").Error(), "ValidationError: No active Lifecycle Action found with instance ID "+i.ID())
				elapse(1)
				check(t, beat(s, i, "down"))
				check(t, complete(s, i, "down", Continue))
			},
			want: []string{"Pending+0s", "InService+0s", "Terminating+0s", "Terminating:Wait+10s", "Terminating:Proceed+10s", "Terminated+10s"},
		}, {
			name:  "terminated behind its back",
			group: Group{Hooks: both[1:]},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Interrupt(i.ID(), time.Now().Add(2*time.Minute), true))
				elapse(2*time.Minute - 1)
				equal(t, i.Off(), false)
				elapse(1)
				equal(t, i.Off(), true)
			},
			want: []string{"Pending+0s", "InService+0s", "Terminating+2m0s", "Terminating:Wait+2m0s"},
		}, {
			name: "an interruption that is withdrawn",
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Interrupt(i.ID(), time.Now().Add(time.Minute), true))
				check(t, s.Start(i.ID()))
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "InService+0s"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := model(t)
				s.Balancer = drains{map[string]int{}, 10 * time.Second}
				test.group.Name, test.options.Group = "web", "web"
				check(t, s.CreateGroup(test.group))
				i := launch(t, s, test.options)
				test.play(t, s, i)
				equal(t, path(i), test.want)
			})
		})
	}
}

// A pool is filled, drawn from before anything is launched, and filled again.
func TestPoolIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := model(t, Group{Name: "web", Pool: &Pool{Size: 2}})
		count := func() map[State]int {
			n := map[State]int{}
			for _, i := range s.Instances() {
				n[i.State()]++
			}
			return n
		}
		equal(t, count(), map[State]int{WarmedStopped: 2})
		check(t, s.SetDesired("web", 3))
		equal(t, count(), map[State]int{InService: 3, WarmedStopped: 2})
		check(t, s.PutPool("web", Pool{Size: 2, Reuse: true}))
		check(t, s.SetDesired("web", 1))
		equal(t, count(), map[State]int{InService: 1, WarmedStopped: 4})
		check(t, s.DeletePool("web"))
		equal(t, count(), map[State]int{InService: 1, WarmedTerminated: 4})
	})
}

func TestMovesThatCannotBe(t *testing.T) {
	s := model(t, Group{Name: "web", Hooks: []Hook{launching("up", time.Hour, "")}}, Group{Name: "pool", Pool: &Pool{}})
	i, single := launch(t, s, LaunchOptions{Group: "web"}), launch(t, s, LaunchOptions{})
	for _, to := range []string{ToStandby, ToService, ToPool, ToDetached, ToRootVolume, "mars"} {
		for _, of := range []*Instance{i, single} {
			if err := s.Move(of.ID(), to); err == nil {
				t.Errorf("%s went to %s", of.State(), to)
			}
		}
	}
	if err := s.Move("i-none", ToStandby); err == nil {
		t.Error("an unknown instance was moved")
	}
	for _, p := range []Pool{{State: "Stopped"}, {Back: Pending}, {Size: -1}} {
		if err := s.PutPool("web", p); err == nil {
			t.Errorf("%+v is a pool", p)
		}
	}
	if _, err := s.Launch(LaunchOptions{Group: "web", Warm: true}); err == nil {
		t.Error("launched into no pool")
	}
	if s.DeletePool("web") == nil || s.DeletePool("nope") == nil {
		t.Error("deleted no pool")
	}
}
