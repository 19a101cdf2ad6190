package autoscaling

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLifecycle(t *testing.T) {
	const up, down = "up", "down"
	tests := []struct {
		name    string
		hooks   []Hook
		options LaunchOptions
		play    func(t *testing.T, s *Model, i *Instance)
		want    []string
	}{
		{
			name: "no hooks",
			want: []string{"Pending+0s", "InService+0s"},
		}, {
			name:  "scale-in without hooks",
			hooks: []Hook{launching(up, time.Minute, "")},
			play: func(t *testing.T, s *Model, i *Instance) {
				elapse(5 * time.Second)
				check(t, complete(s, i, up, Continue))
				elapse(5 * time.Second)
				check(t, s.Terminate(i.ID()))
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+5s", "InService+5s", "Terminating+10s", "Terminated+10s"},
		}, {
			name:    "every state takes its time",
			hooks:   []Hook{launching(up, time.Minute, ""), terminating(down, time.Minute, "")},
			options: LaunchOptions{PendingFor: time.Second, ProceedFor: 2 * time.Second, TerminatingFor: 3 * time.Second},
			play: func(t *testing.T, s *Model, i *Instance) {
				elapse(time.Second)
				check(t, complete(s, i, up, Continue))
				elapse(time.Minute)
				check(t, s.Terminate(i.ID()))
				elapse(3 * time.Second)
				check(t, complete(s, i, down, Continue))
				elapse(time.Minute)
			},
			want: []string{"Pending+0s", "Pending:Wait+1s", "Pending:Proceed+1s", "InService+3s",
				"Terminating+1m1s", "Terminating:Wait+1m4s", "Terminating:Proceed+1m4s", "Terminated+1m6s"},
		}, {
			name:  "silence at launch is ABANDON",
			hooks: []Hook{launching(up, time.Minute, "")},
			play:  func(*testing.T, *Model, *Instance) { elapse(time.Hour) },
			want:  []string{"Pending+0s", "Pending:Wait+0s", "Terminating+1m0s", "Terminated+1m0s"},
		}, {
			name:  "unless the default is CONTINUE",
			hooks: []Hook{launching(up, time.Minute, Continue)},
			play:  func(*testing.T, *Model, *Instance) { elapse(time.Hour) },
			want:  []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+1m0s", "InService+1m0s"},
		}, {
			name:  "all hooks must finish",
			hooks: []Hook{launching(up, time.Minute, ""), launching("also", time.Minute, Continue)},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, complete(s, i, up, Continue))
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+1m0s", "InService+1m0s"},
		}, {
			name:  "one ABANDON ends the launch, and terminate hooks fire",
			hooks: []Hook{launching(up, time.Minute, ""), launching("also", time.Minute, Continue), terminating(down, time.Minute, "")},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, complete(s, i, up, Abandon))
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Terminating+0s", "Terminating:Wait+0s", "Terminating:Proceed+1m0s", "Terminated+1m0s"},
		}, {
			name:  "at termination ABANDON stops the other hooks",
			hooks: []Hook{terminating(down, time.Minute, ""), terminating("also", time.Minute, "")},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Terminate(i.ID()))
				check(t, complete(s, i, down, Abandon))
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "InService+0s", "Terminating+0s", "Terminating:Wait+0s", "Terminating:Proceed+0s", "Terminated+0s"},
		}, {
			name:  "at termination CONTINUE waits for the other hooks",
			hooks: []Hook{terminating(down, time.Minute, ""), terminating("also", 2*time.Minute, Continue)},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Terminate(i.ID()))
				check(t, complete(s, i, down, Continue))
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "InService+0s", "Terminating+0s", "Terminating:Wait+0s", "Terminating:Proceed+2m0s", "Terminated+2m0s"},
		}, {
			name:  "terminated while it launches",
			hooks: []Hook{launching(up, time.Minute, Continue)},
			play: func(t *testing.T, s *Model, i *Instance) {
				elapse(time.Second)
				check(t, s.Terminate(i.ID()))
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Terminating+1s", "Terminated+1s"},
		}, {
			name:    "terminated before the wait began",
			hooks:   []Hook{launching(up, time.Minute, Continue)},
			options: LaunchOptions{PendingFor: time.Minute},
			play: func(t *testing.T, s *Model, i *Instance) {
				check(t, s.Terminate(i.ID()))
				elapse(time.Hour)
				equal(t, len(i.Actions()), 0)
			},
			want: []string{"Pending+0s", "Terminating+0s", "Terminated+0s"},
		}, {
			name:  "heartbeats restart the timeout",
			hooks: []Hook{launching(up, time.Minute, "")},
			play: func(t *testing.T, s *Model, i *Instance) {
				for range 3 {
					elapse(40 * time.Second)
					check(t, beat(s, i, up))
				}
				elapse(time.Hour)
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Terminating+3m0s", "Terminated+3m0s"},
		}, {
			name:  "heartbeats end at 100 timeouts",
			hooks: []Hook{launching(up, 30*time.Second, Continue)},
			play: func(t *testing.T, s *Model, i *Instance) {
				for range 149 {
					elapse(20 * time.Second)
					check(t, beat(s, i, up))
				}
				elapse(20 * time.Second)
				if err := beat(s, i, up); err == nil {
					t.Error("a heartbeat past the global limit was taken")
				}
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+50m0s", "InService+50m0s"},
		}, {
			name:  "heartbeats end at 48 h",
			hooks: []Hook{launching(up, 2*time.Hour, Continue)},
			play: func(t *testing.T, s *Model, i *Instance) {
				for range 47 {
					elapse(time.Hour)
					check(t, beat(s, i, up))
				}
				elapse(100 * time.Hour)
			},
			want: []string{"Pending+0s", "Pending:Wait+0s", "Pending:Proceed+48h0m0s", "InService+48h0m0s"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := model(t, Group{Name: "web", Hooks: test.hooks})
				test.options.Group = "web"
				i := launch(t, s, test.options)
				if test.play != nil {
					test.play(t, s, i)
				}
				equal(t, path(i), test.want)
			})
		})
	}
}
