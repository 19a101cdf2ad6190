package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/agent"
	"koboshi/agent/census"
	"koboshi/agent/config"
	"koboshi/agent/notice"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/bucket/buckettest"
)

// recorded is a world whose instance writes health records.
func recorded(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.records = buckettest.NewMemory()
	w.records.SetClock(func() time.Time { return w.now })
	return w
}

// wrote is the newest record as a line, and fails the test unless there were so many writes
// in all.
func (w *world) wrote(writes int, want string) census.Record {
	w.t.Helper()
	if got := w.records.Calls(buckettest.Put, ""); got != writes {
		w.t.Errorf("%d writes, want %d", got, writes)
	}
	l, err := census.Survey(w.t.Context(), w.records, "")
	if err != nil || l.Foreign > 0 {
		w.t.Fatal(err, l.Foreign)
	}
	if len(l.Newest) != 1 {
		w.t.Errorf("%d instances, want %q", len(l.Newest), want)
		return census.Record{}
	}
	rec, err := census.Parse(w.records.Bytes(l.Newest[0].Key()), "web", l.Newest[0].Subject)
	if err != nil {
		w.t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %d", rec.Version, rec.State, rec.Verdict, rec.Code)
	if rec.Running != "" {
		got += " running " + rec.Running
	}
	if got != want {
		w.t.Errorf("got %q, want %q: %+v", got, want, rec)
	}
	return rec
}

// ages lets time pass on the machine and in the store.
func (w *world) ages(d time.Duration) { w.now = w.now.Add(d) }

// One write for each change, and none without one.
func TestRecords(t *testing.T) {
	w := recorded(t)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.boot())
	rec := w.wrote(1, "1 ok fresh 0")
	if rec.Group != "web" || rec.AZ != "eu-central-1a" || rec.Agent != "0.1.0" || rec.Boot == nil || rec.Boot.Code != 0 || rec.Since.IsZero() || rec.Sequence != 1 || rec.Channel != "stable" {
		t.Errorf("%+v", rec)
	}
	w.ages(time.Minute)
	must(w.sync()) // current in place of fresh is no change
	must(w.looks())
	w.wrote(1, "1 ok fresh 0")

	w.release("2")
	must(w.sync())
	w.wrote(2, "2 ok fresh 0")

	w.ages(time.Minute)
	w.ill["3"] = true
	w.release("3")
	if _, err := w.sync(); err == nil {
		t.Error("an ill release is no error")
	}
	if rec := w.wrote(3, "3 failed failed 20 running 2"); !strings.Contains(rec.Why, "503") || rec.Boot == nil {
		t.Errorf("%+v", rec)
	}
	w.ages(time.Minute)
	_, _ = w.looks()
	_, _ = w.sync()
	w.wrote(3, "3 failed failed 20 running 2")

	w.ages(time.Minute)
	must(w.rollback())
	w.wrote(4, "1 ok held 0")

	w.ages(time.Minute)
	w.ill["1"] = true
	_, _ = w.looks()
	w.wrote(5, "1 failed held 20")
}

// A record that has not changed is written again after a month, by any run.
func TestRecordIsRenewed(t *testing.T) {
	w := recorded(t)
	_, err := w.boot()
	for range 4 {
		w.ages(29 * 24 * time.Hour)
		_, again := w.looks()
		err = errors.Join(err, again)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.wrote(3, "1 ok current 0")
}

// A source that is away is no failure of the release, and what fails before any release is
// known says nothing of one.
func TestRecordOfWhatIsUnavailable(t *testing.T) {
	w := recorded(t)
	w.pointerErr = noChannel
	if _, err := w.boot(); err == nil {
		t.Fatal("no error")
	}
	if got := w.records.Calls(buckettest.Put, ""); got != 0 {
		t.Errorf("%d writes", got)
	}
	w = recorded(t)
	_, _ = w.boot()
	w.ages(time.Minute)
	w.pointerErr = cutOff
	_, _ = w.sync()
	w.wrote(2, "1 ok stale 15")
	w.pointerErr = nil
	w.ages(time.Minute)
	_, _ = w.sync()
	w.wrote(3, "1 ok current 0")
}

// A fallback at launch is a failure of the release that did not come up.
func TestRecordOfAFallback(t *testing.T) {
	w := recorded(t)
	w.when = []string{config.Unavailable, config.Unhealthy}
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	w.remove("state/state.json") // another launch, on the same disk
	w.ages(time.Minute)
	w.ill["2"] = true
	w.release("2")
	w.id = "i-0123456789abcdef1"
	w.records = buckettest.NewMemory()
	if rep, err := w.boot(); err != nil || rep.Verdict != "stale" {
		t.Fatal(err, rep.Verdict)
	}
	w.wrote(1, "2 failed stale 20 running 1")
}

// The lifecycle action is completed before anything is written, whatever the result.
func TestRecordComesAfterTheSignal(t *testing.T) {
	for _, ill := range []bool{false, true} {
		w := recorded(t)
		w.ill["1"] = ill
		before := 0
		w.signalled = func() { before = w.records.Calls(buckettest.Put, "") }
		_, _ = w.boot()
		if before != 0 || len(w.signals) != 1 {
			t.Errorf("%d writes before the signal %v", before, w.signals)
		}
		w.wrote(1, map[bool]string{false: "1 ok fresh 0", true: "1 failed failed 20"}[ill])
	}
}

// A store that does not answer costs ten seconds, and a warning; the next run tries again.
func TestRecordThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := recorded(t)
		w.silent = "record"
		began := time.Now()
		rep, err := w.boot()
		if took := time.Since(began); err != nil || took != recordTime {
			t.Errorf("%v after %s", err, took)
		}
		if want := "the health record could not be written, and the next run tries again: "; !slices.ContainsFunc(rep.Warnings, func(s string) bool { return strings.HasPrefix(s, want) && strings.Contains(s, "no success within 10s") }) {
			t.Errorf("warnings %q", rep.Warnings)
		}
		if w.state().Reported != nil {
			t.Errorf("%+v was not written", w.state().Reported)
		}
		w.silent = ""
		w.records.Fail(buckettest.Fault{Op: buckettest.Put, Times: 1, Err: bucket.ErrDenied})
		if rep, err = w.looks(); err != nil || len(rep.Warnings) != 1 {
			t.Errorf("%v, %q", err, rep.Warnings)
		}
		_, _ = w.looks()
		w.wrote(2, "1 ok current 0")
		_, _ = w.looks()
		w.wrote(2, "1 ok current 0")
	})
}

const recordTime = 10 * time.Second

// An instance that is drained is gone; one that shuts down may come back.
func TestRecordOfADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := recorded(t)
		if _, err := w.boot(); err != nil {
			t.Fatal(err)
		}
		w.ages(time.Minute)
		w.hook, w.inState = "koboshi-terminating", "Terminating:Wait"
		if _, err := w.drain(agent.DrainOptions{Notice: notice.Notice{Reason: notice.Shutdown, ID: "shutdown"}}); err != nil {
			t.Fatal(err)
		}
		w.wrote(1, "1 ok fresh 0")
		before := -1
		w.signalled = func() { before = w.records.Calls(buckettest.Put, "") }
		if _, err := w.drain(agent.DrainOptions{Notice: terminated}); err != nil {
			t.Fatal(err)
		}
		if before != 1 {
			t.Errorf("%d writes before the action was completed", before)
		}
		w.wrote(2, "1 gone drained 0")
	})
}

// Nothing is written without the key, or of a machine that bakes an image or waits in a
// warm pool.
func TestNoRecord(t *testing.T) {
	w := recorded(t)
	if _, err := w.run(t.Context(), func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Prebake(ctx, agent.PrebakeOptions{})
	}); err != nil {
		t.Fatal(err)
	}
	w.target = "Warmed:Pending"
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	if got := w.records.Calls(buckettest.Put, ""); got != 0 {
		t.Errorf("%d writes", got)
	}
	w = newWorld(t)
	if _, err := w.boot(); err != nil || w.state().Reported != nil {
		t.Errorf("%v, %+v", err, w.state().Reported)
	}
}

// Another instance from the same disk writes its own record.
func TestRecordOfAnotherInstance(t *testing.T) {
	w := recorded(t)
	_, _ = w.boot()
	w.id = "i-0123456789abcdef1"
	_, _ = w.boot()
	if got := w.records.Calls(buckettest.Put, ""); got != 2 {
		t.Errorf("%d writes, want one for each instance", got)
	}
}

// A node id is in the record, and another one is a change.
func TestRecordHasTheNodeID(t *testing.T) {
	numbered(t, func(t *testing.T, s *sky) {
		s.records = buckettest.NewMemory()
		if _, err := s.boot(); err != nil {
			t.Fatal(err)
		}
		first := s.wrote(1, "1 ok fresh 0")
		if first.NodeID == nil || *first.NodeID != s.tenure().ID {
			t.Errorf("%+v, and the lease is %+v", first, s.tenure())
		}
		if _, err := s.run(t.Context(), (*agent.Agent).ReleaseNodeID); err != nil {
			t.Fatal(err)
		}
		if rec := s.wrote(2, "1 gone drained 0"); rec.NodeID != nil {
			t.Errorf("%+v", rec)
		}
	})
}
