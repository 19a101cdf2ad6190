package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/report"
	"koboshi/agent/service"
	"koboshi/artifacts"
)

// rollout is a fleet in simulation: so many instances, launched one after the other all
// the time long, each of which then looks at its channel every five minutes, while a
// release is rolled out to it step by step.
type rollout struct {
	instances int
	every     time.Duration // between two launches
	steps     []rolloutStep
}

// rolloutStep is a promotion that much later than the first launch.
type rolloutStep struct {
	at   time.Duration
	args string // of koboshi promote
}

// pointed is what the channel points to from a time on.
type pointed struct {
	at      time.Duration // since the first launch
	pointer artifacts.Pointer
	signed  []byte
}

// started is a release that an instance has started.
type started struct {
	at      time.Duration // since the first launch
	version string
}

// TestFleetRollout takes a fleet through two rollouts, of which the second is aborted.
// Launches and looks are all over it. Each instance runs, one after the other, what the
// pointers had for it, and nothing else: it changes where the answer for it has changed.
func TestFleetRollout(t *testing.T) {
	const minute = time.Minute
	r := rollout{instances: 80, every: 41 * time.Second, steps: []rolloutStep{
		{10 * minute, "--version 2 --percent 10"},
		{16 * minute, "--version 2 --percent 50"},
		{22 * minute, "--version 2 --percent 100"},
		{28 * minute, "--version 3 --percent 50"},
		{34 * minute, "--version 3 --percent 50"}, // once more
		{40 * minute, "--abort"},
		{46 * minute, "--version 3 --percent 10"},
	}}
	w := newFleetWorld(t, fleet{settings: patient})
	for _, v := range []string{"2", "3"} {
		must(t, os.WriteFile(filepath.Join(w.dir, "web"), []byte("#!/bin/sh\nexec sleep "+v+"d\n"), 0o755))
		w.release(t, "publish", "--version", v, filepath.Join(w.dir, "web"))
	}
	timeline := []pointed{w.pointed(t, 0)}
	for _, step := range r.steps {
		w.release(t, "promote", append([]string{"--channel", "stable"}, strings.Fields(step.args)...)...)
		timeline = append(timeline, w.pointed(t, step.at))
	}
	w.objects = objectsOf(t, filepath.Join(w.dir, "bucket"))
	synctest.Test(t, func(t *testing.T) { r.run(t, w, timeline) })
}

// release runs a command of the release side.
func (w *fleetWorld) release(t *testing.T, command string, args ...string) {
	t.Helper()
	args = append([]string{command, "--source", "file://" + w.dir + "/bucket", "--app", "web", "--key", w.dir + "/release.key"}, args...)
	if code := run(t.Context(), args, nil, io.Discard, os.Stderr); code != 0 {
		t.Errorf("%s: exit code %d", strings.Join(args, " "), code)
	}
}

// pointed is what the channel points to in the bucket.
func (w *fleetWorld) pointed(t *testing.T, at time.Duration) pointed {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "bucket", "web", artifacts.PointerKey("stable")))
	must(t, err)
	p, err := w.trust.Pointer(data, "web", "stable")
	must(t, err)
	return pointed{at, p.Pointer(), data}
}

func (r rollout) run(t *testing.T, w *fleetWorld, timeline []pointed) {
	cloud, err := newFleetCloud(w.objects, 1)
	must(t, err)
	defer cloud.model.Close()
	begun := time.Now()
	end := r.steps[len(r.steps)-1].at + 6*time.Minute
	move := func(to pointed) { w.objects.Put("releases", "apps/web/"+artifacts.PointerKey("stable"), to.signed) }
	move(timeline[0])
	var mu sync.Mutex
	runs := map[string][]started{}
	var group sync.WaitGroup
	for n := range r.instances {
		group.Go(func() {
			pass(time.Duration(n)*r.every + 500*time.Millisecond)
			i, err := cloud.model.Launch(autoscaling.LaunchOptions{Group: "web"})
			must(t, err)
			watched := func(version string) {
				mu.Lock()
				defer mu.Unlock()
				runs[i.ID()] = append(runs[i.ID()], started{time.Since(begun), version})
			}
			live := filepath.Join(w.dir, i.ID())
			newAgent := func() *agent.Agent {
				a := w.agent(cloud, i.ID(), live)
				a.Service = recording{simulated(i.ID()), watched}
				return a
			}
			if rep, err := newAgent().Boot(t.Context()); err != nil {
				t.Errorf("launch of %s: %s, %v", i.ID(), rep.Verdict, err)
			}
			for time.Since(begun) < end {
				pass(5 * time.Minute)
				rep, err := newAgent().Sync(t.Context(), agent.SyncOptions{IfNew: true})
				if err != nil || rep.Verdict != report.Fresh && rep.Verdict != report.Current {
					t.Errorf("a look of %s: %s, %v", i.ID(), rep.Verdict, err)
				}
			}
		})
	}
	for _, to := range timeline[1:] {
		pass(time.Until(begun.Add(to.at)))
		move(to)
	}
	group.Wait()
	changed := 0
	for id, all := range runs {
		changed += len(all) - 1
		r.judge(t, id, all, timeline)
	}
	if len(runs) != r.instances || changed == 0 {
		t.Errorf("%d instances, %d changes", len(runs), changed)
	}
	t.Logf("%d instances, %d launches and changes, each as the pointers had it", len(runs), len(runs)+changed)
}

// judge holds what an instance has started against what the pointers had for it since
// its launch, as far as that changed.
func (r rollout) judge(t *testing.T, id string, all []started, timeline []pointed) {
	t.Helper()
	var want []string
	for i, m := range timeline {
		if i+1 < len(timeline) && timeline[i+1].at <= all[0].at {
			continue // it was over before the launch read the channel
		}
		if v := m.pointer.Choose(id).Version; len(want) == 0 || want[len(want)-1] != v {
			want = append(want, v)
		}
	}
	var got []string
	for _, s := range all {
		got = append(got, s.version)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s, first started %s after the first launch, ran %q, want %q", id, all[0].at, got, want)
	}
}

// recording is a machine that tells which releases its app is started from.
type recording struct {
	simulated
	started func(version string)
}

// Restart implements agent.Service.
func (r recording) Restart(ctx context.Context, env []string) (service.Gate, error) {
	for _, line := range env {
		if version, ok := strings.CutPrefix(line, "KOBOSHI_VERSION="); ok {
			r.started(version)
		}
	}
	return r.simulated.Restart(ctx, env)
}

// A launch in a rollout makes the calls of any other launch, and not one more.
func TestLaunchesInARolloutCost(t *testing.T) {
	w := newFleetWorld(t, fleet{settings: patient})
	w.release(t, "publish", "--version", "2", filepath.Join(w.dir, "web"))
	costs := map[string]string{}
	for _, percent := range []int{0, 1, 99} {
		if percent > 0 {
			w.release(t, "promote", "--channel", "stable", "--version", "2", "--percent", strconv.Itoa(percent))
		}
		synctest.Test(t, func(t *testing.T) {
			w.objects = objectsOf(t, filepath.Join(w.dir, "bucket"))
			cloud, err := newFleetCloud(w.objects, 1)
			must(t, err)
			defer cloud.model.Close()
			i, err := cloud.model.Launch(autoscaling.LaunchOptions{Group: "web"})
			must(t, err)
			if _, err := w.boot(t, cloud, i.ID()); err != nil {
				t.Error(err)
			}
			var all []string
			for _, name := range slices.Sorted(maps.Keys(cloud.tallies)) {
				all = append(all, fmt.Sprintf("%s %d", name, cloud.tallies[name].calls))
			}
			costs[strings.Join(all, ", ")] += " " + strconv.Itoa(percent)
		})
	}
	if len(costs) != 1 {
		t.Errorf("the calls of a launch at each percentage: %q", costs)
	}
}
