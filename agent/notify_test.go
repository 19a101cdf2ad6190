package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
)

// The operator's command comes last, and gets the bytes of the report.
func TestNotify(t *testing.T) {
	w := newWorld(t)
	w.onNotify = func() {
		if w.ready == 0 || len(w.signals) != 1 || w.signals[0] != lifecycle.Continue {
			t.Errorf("ready %d, signals %v, want both to come first", w.ready, w.signals)
		}
		unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
		if err != nil {
			t.Fatalf("another run would wait for the command: %v", err)
		}
		unlock()
	}
	w.notifyErr = errors.New("not finished after 10s")
	rep, err := w.boot()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rep.Warnings, "\n"); got != "notify.command failed: not finished after 10s" {
		t.Errorf("warnings %q", got)
	}
	w.wasNotified(t, "boot")
	w.onNotify, w.notifyErr = nil, nil
	if _, err := w.sync(); err != nil {
		t.Fatal(err)
	}
	w.wasNotified(t, "sync")
}

// wasNotified asserts one report of a command, as it is on the disk, and forgets it.
func (w *world) wasNotified(t *testing.T, command string) {
	t.Helper()
	saved, err := os.ReadFile(filepath.Join(w.dir, "state", "reports", command+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(w.notified) != 1 || w.notified[0] != string(saved) {
		t.Errorf("the command got\n%s\nwant\n%s", w.notified, saved)
	}
	w.notified = nil
}

func TestNotifyOfFailures(t *testing.T) {
	w := newWorld(t)
	w.ill["1"] = true
	if _, err := w.boot(); err == nil || len(w.notified) != 1 || !strings.Contains(w.notified[0], `"code": 20`) {
		t.Errorf("boot ended with %v, the command got %s", err, w.notified)
	}
	w = newWorld(t)
	live(w)
	w.notified = nil
	ctx, cancel := context.WithCancel(t.Context())
	w.onGate = cancel
	w.release("3")
	_, err := w.run(ctx, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
		return a.Sync(ctx, agent.SyncOptions{})
	})
	if err == nil || len(w.notified) != 1 || !strings.Contains(w.notified[0], `"code": 130`) {
		t.Errorf("an interrupted sync ended with %v, the command got %s", err, w.notified)
	}
}

// A run that another one keeps out is none, and neither is the making of an image.
func TestNotifyOfRunsOnly(t *testing.T) {
	w := newWorld(t)
	live(w)
	w.notified = nil
	unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.sync(); !errors.Is(err, state.ErrLocked) {
		t.Errorf("sync = %v", err)
	}
	unlock()
	if _, err := w.prebake(agent.PrebakeOptions{}); err != nil {
		t.Error(err)
	}
	if len(w.notified) != 0 {
		t.Errorf("the command got %s", w.notified)
	}
}

// Where the report has no place on the disk, the command is the only one to get it.
func TestNotifyWithoutADisk(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(filepath.Join(w.dir, "state"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sync(); err == nil || len(w.notified) != 1 || !strings.Contains(w.notified[0], `"code": 18`) {
		t.Errorf("sync ended with %v, the command got %s", err, w.notified)
	}
}
