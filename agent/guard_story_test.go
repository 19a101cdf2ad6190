package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/codedeploy"
	"koboshi/agent/guard"
)

// errStuck is a deployment that CodeDeploy gives up after an hour.
var errStuck = errors.New("an instance has no revision")

// inService are the instances of a group that serve.
func (w *guardWorld) inService(group string) (ids []string) {
	for _, i := range w.model.Instances() {
		if i.Group() == group && i.State() == autoscaling.InService {
			ids = append(ids, i.ID())
		}
	}
	return ids
}

// blueGreen is a blue/green deployment as CodeDeploy makes it: as many green instances
// as there are blue ones get the revision; then traffic is moved away from the blue
// ones. An instance of the blue group that came meanwhile gets no revision, and is
// waited for.
func (w *guardWorld) blueGreen(ctx context.Context, id string) error {
	if err := w.deploys.Set("shop", "web", codedeploy.Deployment{ID: id, Status: "InProgress"}); err != nil {
		return err
	}
	defer func() { _ = w.deploys.Set("shop", "web") }()
	blue := w.inService("web")
	for range blue {
		if _, err := w.model.Launch(autoscaling.LaunchOptions{Group: "green"}); err != nil {
			return err
		}
	}
	for began := time.Now(); ; {
		select {
		case <-time.After(2 * time.Minute):
		case <-ctx.Done():
			return ctx.Err()
		}
		unknown := slices.DeleteFunc(w.inService("web"), func(id string) bool { return slices.Contains(blue, id) })
		switch {
		case len(unknown) == 0:
			return nil
		case time.Since(began) > time.Hour:
			return errStuck
		}
	}
}

// pipeline runs the deployment under guard, in a process of its own.
func (w *guardWorld) pipeline(holder, id string) (*line, func() (GuardOutcome, error)) {
	l := w.line()
	p := &program{takes: 24 * time.Hour}
	p.do = func() {
		go func() {
			code := 0
			if w.blueGreen(l.dead, id) != nil {
				code = 1
			}
			p.end(code)
		}()
	}
	g := l.guard(holder)
	g.Application, g.Deployments, g.Reason = "shop", "web", "deployment "+id
	return l, func() (GuardOutcome, error) { return g.Run(l.dead, GuardedCommand{Start: p.start(l)}) }
}

func newStory(t *testing.T) *guardWorld {
	w := newGuardWorld(t, autoscaling.Group{Name: "web", Desired: 4}, autoscaling.Group{Name: "green"})
	w.check(w.deploys.Set("shop", "web"))
	return w
}

// alarm is a scale-out in so much time. It reports whether the group has followed.
func (w *guardWorld) alarm(in time.Duration) (acted *atomic.Bool) {
	acted = new(atomic.Bool)
	time.AfterFunc(in, func() {
		did, err := w.model.Trigger("web", autoscaling.AlarmNotification, 5)
		if acted.Store(did); err != nil {
			w.Error(err)
		}
	})
	return acted
}

// A scale-out in the middle of a blue/green deployment of four instances.
func TestScaleOutInADeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStory(t)
		acted := w.alarm(time.Minute)
		if err := w.blueGreen(t.Context(), "d-1"); !errors.Is(err, errStuck) || !acted.Load() {
			t.Errorf("without guard: %v, the alarm has acted: %v", err, acted.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newStory(t)
		acted := w.alarm(time.Minute)
		_, run := w.pipeline("ci-1", "d-1")
		out, err := run()
		if err != nil || out.Code != 0 || acted.Load() || len(w.inService("web")) != 4 || len(w.inService("green")) != 4 {
			t.Errorf("with guard: %+v, %v, the alarm has acted: %v", out, err, acted.Load())
		}
		acted = w.alarm(time.Minute) // which is still on
		elapse(2 * time.Minute)
		if !acted.Load() || len(w.inService("web")) != 5 {
			t.Errorf("afterwards the alarm has acted: %v", acted.Load())
		}
	})
}

// Two pipelines at once: one deploys, the other learns who does.
func TestTwoPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStory(t)
		var both sync.WaitGroup
		var outs [2]GuardOutcome
		var errs [2]error
		for n, id := range []string{"d-1", "d-2"} {
			_, run := w.pipeline("ci-"+id, id)
			both.Go(func() { outs[n], errs[n] = run() })
		}
		both.Wait()
		first := slices.Index(errs[:], nil)
		held, refused := errors.AsType[*guard.HeldError](errors.Join(errs[:]...))
		if first < 0 || !outs[first].Started || outs[1-first].Started || !refused || held.Record.Reason != []string{"deployment d-1", "deployment d-2"}[first] {
			t.Errorf("%+v, %v", outs, errs)
		}
		if len(w.inService("green")) != 4 || w.suspended() != "" {
			t.Errorf("%d green instances, suspended %s", len(w.inService("green")), w.suspended())
		}
	})
}

// A pipeline that is killed between suspend and resume is repaired.
func TestPipelineThatIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStory(t)
		l, run := w.pipeline("ci-1", "d-1")
		time.AfterFunc(time.Minute, l.kill)
		_, _ = run() // it is dead
		if w.suspended() == "" {
			t.Error("it was not killed in the middle")
		}
		acted := w.alarm(0)
		elapse(5 * time.Minute)
		if acted.Load() {
			t.Error("the group scales although its alarms are suspended")
		}
		_, second := w.pipeline("ci-2", "d-2")
		held, _ := errors.AsType[*guard.HeldError](only(second()))
		if held == nil || !held.Over() || held.Record.Holder != "ci-1" {
			t.Errorf("the next pipeline learns %+v", held)
		}
		restored, err := w.line().guard("ops").Repair(t.Context(), false)
		if err != nil || len(restored) != 1 || len(restored[0].Resumed) != 2 || restored[0].Was != "ci-1" || w.suspended() != "" {
			t.Errorf("%+v, %v, suspended %s", restored, err, w.suspended())
		}
		acted = w.alarm(0)
		elapse(time.Minute)
		if !acted.Load() || len(w.inService("web")) != 5 {
			t.Errorf("%d in service", len(w.inService("web")))
		}
	})
}

func only[T any](_ T, err error) error { return err }
