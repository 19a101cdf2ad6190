package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/notice"
	"koboshi/agent/state"
	"koboshi/artifacts/pace"
)

// leave is a simulation like fleet: so many instances are terminated at once, each
// with an agent that drains it. Deregistration takes a minute, and the lifecycle hook
// waits for ten.
type leave struct {
	instances int
	share     float64 // of AWS's rates; 0 = all
}

const (
	deregistration = time.Minute
	hookTimeout    = 10 * time.Minute
)

// left is how the instances of a fleet went.
type left struct {
	failed  []error
	expired int             // hooks that ran out
	after   []time.Duration // CONTINUE, since the hook waited
	tallies map[string]*tally
}

// TestFleetLeaves is one of ten cells of 1,000 that are terminated at once.
func TestFleetLeaves(t *testing.T) { leave{instances: 100, share: 0.1}.run(t).whole(t) }

// TestFewCallsOfADrain is a fleet that is not throttled: with a minute of
// deregistration, each drain makes eight calls of Auto Scaling at most.
func TestFewCallsOfADrain(t *testing.T) {
	const instances = 20
	l := leave{instances: instances}.run(t)
	l.whole(t)
	calls := 0
	for _, tally := range l.tallies {
		calls += tally.calls
	}
	if calls > 8*instances {
		t.Errorf("%d calls of %d instances", calls, instances)
	}
}

// run simulates the fleet in as many cells as the limit of open files asks for.
func (l leave) run(t *testing.T) *left {
	t.Helper()
	world := newFleetWorld(t, fleet{settings: "[lifecycle]\ngroup = \"leaving\"\nterminate_hook = \"koboshi-terminating\"\n"})
	total := &left{tallies: map[string]*tally{}}
	cells := 1 + l.instances*filesEach/openFiles(t)
	for cell := range cells {
		instances := (l.instances + cell) / cells
		synctest.Test(t, func(t *testing.T) {
			total.cell(t, world, fmt.Sprint(cell), instances, cmp.Or(l.share, 1)*float64(instances)/float64(l.instances))
		})
	}
	slices.Sort(total.after)
	t.Log(total.text(l.instances))
	return total
}

func (l *left) cell(t *testing.T, world *fleetWorld, cell string, instances int, share float64) {
	cloud, err := newFleetCloud(world.objects, max(share, 0.01))
	must(t, err)
	defer cloud.model.Close()
	must(t, cloud.model.CreateGroup(autoscaling.Group{Name: "leaving", Hooks: []autoscaling.Hook{
		{Name: "koboshi-terminating", Transition: autoscaling.OnTerminate, HeartbeatTimeout: hookTimeout},
	}}))
	var mu sync.Mutex
	var group sync.WaitGroup
	for range instances {
		i, err := cloud.model.Launch(autoscaling.LaunchOptions{Group: "leaving", TerminatingFor: deregistration})
		must(t, err)
		group.Go(func() {
			must(t, cloud.model.Terminate(i.ID()))
			pass(time.Duration(pace.Share(cell+i.ID(), 1) * float64(5*time.Second))) // until the next look
			err := world.drain(t, cloud, i.ID())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.failed = append(l.failed, err)
			}
			action := i.Actions()[0]
			if action.Ending == autoscaling.ByTimeout || action.Result != autoscaling.Continue {
				l.expired++
			}
			l.after = append(l.after, action.Ended.Sub(action.Began))
		})
	}
	group.Wait()
	for name, t := range cloud.tallies {
		sum := l.tallies[name]
		if sum == nil {
			sum = &tally{}
			l.tallies[name] = sum
		}
		sum.calls, sum.throttled = sum.calls+t.calls, sum.throttled+t.throttled
	}
}

// drain is one koboshi watch that has seen the notice.
func (w *fleetWorld) drain(t *testing.T, cloud *fleetCloud, id string) error {
	dir := filepath.Join(w.dir, "leaving-"+id)
	defer func() { _ = os.RemoveAll(dir) }()
	a := w.agent(cloud, id, dir)
	began := time.Now()
	a.Clock = state.Clock{Boot: id, Uptime: func() time.Duration { return time.Since(began) }}
	_, err := a.Drain(t.Context(), agent.DrainOptions{Notice: notice.Notice{Reason: notice.Terminated, ID: string(notice.Terminated)}})
	return err
}

func (l *left) whole(t *testing.T) {
	t.Helper()
	if len(l.failed) > 0 || l.expired > 0 {
		t.Errorf("%d drains failed, %d hooks ran out: %v", len(l.failed), l.expired, l.failed[:min(3, len(l.failed))])
	}
}

// text is the outcome for people.
func (l *left) text(instances int) string {
	text := fmt.Sprintf("%d terminated at once, a hook of %v\n", instances, hookTimeout)
	for name, t := range l.tallies {
		text += fmt.Sprintf("  %-32s %6.2f an instance, %5.1f %% throttled\n", name, float64(t.calls)/float64(instances), 100*float64(t.throttled)/float64(t.calls))
	}
	at := func(p int) time.Duration { return l.after[max(0, len(l.after)*p/100-1)].Round(100 * time.Millisecond) }
	return text + fmt.Sprintf("  CONTINUE after the wait began: p50 %v, p99 %v, max %v; %d failed, %d hooks ran out", at(50), at(99), at(100), len(l.failed), l.expired)
}
