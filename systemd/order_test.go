package systemd

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const boot = "koboshi-boot.service"

func queued(kind string, units ...string) []sdbus.JobStatus {
	var jobs []sdbus.JobStatus
	for i, unit := range units {
		path := dbus.ObjectPath(managerPath + "/job/" + strings.Repeat("9", i+1))
		jobs = append(jobs, sdbus.JobStatus{Id: uint32(i), Unit: unit, JobType: kind, Status: "waiting", JobPath: path, UnitPath: unitPrefix})
	}
	return jobs
}

// What cannot start before us must be refused before anything is stopped.
func TestOrderedAfterUs(t *testing.T) {
	tests := []struct {
		name    string
		own     string
		after   []string
		jobs    []sdbus.JobStatus
		refused bool
	}{
		{"directly", boot, []string{"basic.target", boot}, queued("start", boot), true},
		{"through a target that is queued", boot, []string{"multi-user.target"}, queued("start", boot, "multi-user.target"), true},
		{"through a target that is not", boot, []string{"multi-user.target"}, queued("start", boot), false},
		{"in a circle", boot, []string{"loop.target"}, queued("start", boot, "loop.target"), false},
		{"our own start is over", boot, []string{boot}, queued("start", "multi-user.target"), false},
		{"we are being stopped", boot, []string{boot}, queued("stop", boot), false},
		{"we are in no unit", "", []string{boot}, queued("start", boot), false},
		{"not ordered", boot, nil, queued("start", boot), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := one("done", test.after...)
			f.own, f.jobs = test.own, test.jobs
			f.units["multi-user.target"] = newUnit("", boot)
			f.units["loop.target"] = newUnit("", "web.service", "loop.target")
			_, err := f.start(t).Restart(t.Context(), "web.service")
			if errors.Is(err, ErrOrderedAfterUs) != test.refused {
				t.Errorf("Restart = %v, refused should be %v", err, test.refused)
			}
			if test.refused && f.called() != "" {
				t.Errorf("calls before the refusal: %s", f.called())
			}
			if test.refused && !strings.Contains(err.Error(), boot) {
				t.Errorf("error does not name %s: %v", boot, err)
			}
		})
	}
}

// The start pulls in a unit that was not asked for, and that one waits for us.
func TestOrderShowsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := one("", "db.service")
		f.units["db.service"] = newUnit("", boot)
		f.own, f.jobs = boot, queued("start", boot)
		m := f.start(t)
		time.AfterFunc(500*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.jobs = queued("start", boot, "db.service")
		})
		_, err := m.Restart(t.Context(), "web.service")
		if !errors.Is(err, ErrOrderedAfterUs) || !strings.Contains(err.Error(), "db.service") {
			t.Errorf("Restart = %v, want ErrOrderedAfterUs that names db.service", err)
		}
		if !strings.HasSuffix(f.called(), "stop web.service replace") {
			t.Errorf("the waiting job was left in the queue: %s", f.called())
		}
	})
}

// A look at a long job that fails is no reason to cancel the job.
func TestLookThatFailsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := one("")
		f.own = boot
		m := f.start(t)
		time.AfterFunc(500*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.busy = true
		})
		time.AfterFunc(10*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.emitRemoved(managerPath+"/job/2", "web.service", "done")
		})
		if _, err := m.Restart(t.Context(), "web.service"); err != nil {
			t.Errorf("Restart = %v", err)
		}
		if strings.Contains(f.called(), "stop") {
			t.Errorf("the job was cancelled: %s", f.called())
		}
	})
}
