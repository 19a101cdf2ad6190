package agent_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"koboshi/agent"
	"koboshi/agent/lease"
	"koboshi/agent/nodeid"
	"koboshi/agent/report"
)

func (w *world) releaseID() (report.Report, error) {
	return w.run(w.t.Context(), (*agent.Agent).ReleaseNodeID)
}

func (w *world) lookAtID() (nodeid.View, error) { return w.agent().NodeID(w.t.Context()) }

// The report of a run has the lease, and so has a look at it; an operator gives the id
// back, with the app stopped.
func TestReleaseNodeID(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		if _, err := s.lookAtID(); !errors.Is(err, nodeid.ErrNone) {
			t.Errorf("before the launch: %v", err)
		}
		rep, err := s.boot()
		if err != nil {
			t.Fatal(err)
		}
		i := s.item()
		if rep.NodeID == nil || *rep.NodeID != i.ID || rep.Node == nil || rep.Node.Gen != 1 || rep.Node.Scope != "web" || rep.Node.ValidUntil.UnixMilli() != i.HW {
			t.Errorf("the report has %v, %+v, the table %+v", rep.NodeID, rep.Node, i)
		}
		s.after(time.Minute)
		v, err := s.lookAtID()
		if err != nil || v.NodeID != i.ID || v.Phase != lease.Holding || v.Stop != s.armed.UTC() || v.Node != *rep.Node {
			t.Errorf("a look shows %+v (%v)", v, err)
		}
		rep, err = s.releaseID()
		now := s.item()
		if err != nil || rep.Verdict != report.Drained || rep.NodeID != nil || s.running != "" || !s.armed.IsZero() {
			t.Errorf("released: %v, report %+v, running %q, armed %s", err, rep, s.running, s.armed)
		}
		if now.State != lease.Free || now.HW > time.Now().UnixMilli() || now.HW < time.Now().Add(-time.Second).UnixMilli() || now.Gen != 1 {
			t.Errorf("in the table it is %+v", now)
		}
		if rep, err = s.releaseID(); !errors.Is(err, nodeid.ErrNone) || rep.Error == nil || rep.Error.Code != 22 {
			t.Errorf("again: %v", err)
		}
		if _, err := s.lookAtID(); !errors.Is(err, nodeid.ErrNone) {
			t.Errorf("after it: %v", err)
		}
		s.after(10 * time.Minute) // a watch leaves it down
		if s.running != "" || s.relaunchs != 0 {
			t.Errorf("running %q, started again %d times", s.running, s.relaunchs)
		}
		if _, err := s.sync(); err != nil || s.running != "1" || s.tenure().Gen != 1 && s.tenure().Gen != 2 {
			t.Errorf("a sync: %v, running %q, %+v", err, s.running, s.tenure())
		}
	})
}

// An app that does not stop keeps its id.
func TestReleaseNodeIDOfAppThatRuns(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		before := s.item()
		s.stopErr = errors.New("it does not stop")
		if _, err := s.releaseID(); err == nil || s.item() != before || s.tenure().Phase != lease.Holding {
			t.Errorf("%v, item %+v, record %+v", err, s.item(), s.tenure())
		}
		s.stopErr = nil
	})
}

// From the second renewal on that fails, whatever runs warns of it, and a look shows it.
func TestRenewalsThatFail(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.launched()
		s.node.Down(os.ErrDeadlineExceeded)
		warned := func() bool {
			rep, err := s.run(context.Background(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				return a.Sync(ctx, agent.SyncOptions{})
			})
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(rep.Warnings, func(w string) bool {
				return strings.HasPrefix(w, "the last 2 renewals of the node id have failed, and the app may use it until ")
			})
		}
		for failures := range 3 {
			for s.tenure().Failures < failures {
				s.after(time.Second)
			}
			if got := warned(); got != (failures == 2) {
				t.Errorf("after %d failures warned: %t", failures, got)
			}
		}
		if v, err := s.lookAtID(); err != nil || v.Failed != 2 || !strings.Contains(v.Failure, "i/o timeout") {
			t.Errorf("a look shows %+v (%v)", v, err)
		}
		s.node.Down(nil)
		s.after(10 * time.Minute)
		if v, err := s.lookAtID(); err != nil || v.Failed != 0 || v.Failure != "" || warned() {
			t.Errorf("renewed since: %+v (%v)", v, err)
		}
	})
}
