package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/agent/state"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/store"
)

// spoil replaces a file or directory of koboshi's by something else.
func (w *world) spoil(name string, put func(path string) error) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o755), put(path)); err != nil {
		w.t.Fatal(err)
	}
}

func aFile(path string) error      { return os.WriteFile(path, nil, 0o600) }
func aDirectory(path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o755) }
func dangling(path string) error   { return os.Symlink("/nowhere/at/all", path) }

// TestTroubleAtLaunch is failures before a launch has begun: it ends with ABANDON
// and the exit code of the failure, and all that can be recorded is recorded.
func TestTroubleAtLaunch(t *testing.T) {
	for _, tt := range []struct {
		name     string
		when     func(*world)
		err      error
		code     failure.Code
		reported bool
	}{
		{"install.root is a dangling link", func(w *world) { w.spoil("opt", dangling) }, store.ErrDisk, failure.Disk, true},
		{"install.root is a file", func(w *world) { w.spoil("opt", aFile) }, store.ErrDisk, failure.Disk, true},
		{"state.dir is a file", func(w *world) { w.spoil("state", aFile) }, state.ErrDisk, failure.Disk, false},
		{"state.run is a file", func(w *world) { w.spoil("run", aFile) }, state.ErrDisk, failure.Disk, true},
		{"the lock is no file", func(w *world) { w.spoil("run/lock", aDirectory) }, state.ErrDisk, failure.Disk, true},
		{"the state cannot be written", func(w *world) { w.spoil("state/state.json", aDirectory) }, state.ErrDisk, failure.Disk, true},
		{"the environment cannot be written", func(w *world) { w.spoil("run/env", aDirectory) }, state.ErrDisk, failure.Disk, true},
		{"state.run is a file, and the group is denied at first", func(w *world) { w.spoil("run", aFile); tagsOff(w); w.deny(1) }, state.ErrDisk, failure.Disk, true},
		{"the tags are malformed", func(w *world) { w.tagsErr = instance.ErrMalformed }, instance.ErrMalformed, failure.Metadata, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.when(w)
			rep, err := w.boot()
			if rep.Verdict != report.Failed || !errors.Is(err, tt.err) || failure.CodeOf(err) != tt.code || w.running != "" || !slices.Equal(w.signals, giveUp) {
				t.Errorf("verdict %s, code %d, %q runs, signals %v: %v", rep.Verdict, failure.CodeOf(err), w.running, w.signals, err)
			}
			if !tt.reported {
				return
			}
			if saved := w.report(t); saved.Command != "boot" || saved.Verdict != report.Failed || saved.Lifecycle.Result != string(lifecycle.Abandon) {
				t.Errorf("report %+v", saved)
			}
		})
	}
}

func TestALockHeldUntilTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		begun := time.Now()
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Failed, failure.ErrDeadline, "", "", giveUp})
		if took := time.Since(begun); took != 15*time.Minute || !errors.Is(err, state.ErrLocked) {
			t.Errorf("took %v: %v", took, err)
		}
	})
}

// A boot after a launch that died before its signal first starts the release that
// was healthy. The action is completed even if another run has the lock.
func TestALockHeldAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.completeErr = errDenied
		_, _ = w.boot()
		w.completeErr, w.signals, w.firmwareID = nil, nil, w.id
		unlock, err := state.Lock(t.Context(), w.open("run"), "sync", false)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Failed, failure.ErrDeadline, "1", "1", giveUp})
	})
}

// TestTroubleAfterAReboot is the same failures on a machine that ran a release,
// which is started all the same.
func TestTroubleAfterAReboot(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(*world)
		err  error
		code failure.Code
	}{
		{"state.dir is a file", func(w *world) { w.spoil("state", aFile) }, state.ErrDisk, failure.Disk},
		{"state.run is a file", func(w *world) { w.spoil("run", aFile) }, state.ErrDisk, failure.Disk},
		{"the lock is no file", func(w *world) { w.spoil("run/lock", aDirectory) }, state.ErrDisk, failure.Disk},
		{"the state cannot be written", func(w *world) { w.spoil("state/state.json", aDirectory) }, state.ErrDisk, failure.Disk},
		{"the tags are malformed", func(w *world) { w.tagsErr = instance.ErrMalformed }, instance.ErrMalformed, failure.Metadata},
		{"no identity", func(w *world) { w.identityErr = instance.ErrDisabled }, instance.ErrDisabled, failure.Metadata},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			w.firmwareID, w.running, w.inState = w.id, "", "InService"
			tt.when(w)
			rep, err := w.boot()
			if rep.Verdict != report.Failed || !errors.Is(err, tt.err) || failure.CodeOf(err) != tt.code || w.running != "1" || len(w.signals) != 0 {
				t.Errorf("verdict %s, code %d, %q runs, signals %v: %v", rep.Verdict, failure.CodeOf(err), w.running, w.signals, err)
			}
		})
	}
}

// TestNeedlessWrites is a machine with a read-only disk: a run does not write
// again what is recorded already.
func TestNeedlessWrites(t *testing.T) {
	for _, tt := range []struct {
		name string
		when func(*world)
		warn string
	}{
		{"the environment", func(w *world) { w.spoil("run/env", aDirectory) }, "could not be recorded"},
		{"when the channel was seen", func(w *world) { w.spoilMeta("pointers", aFile) }, "could not be recorded"},
		{"reports", func(w *world) { w.spoil("state/reports", aFile) }, "report could not be saved"},
		{"previous", func(w *world) { w.spoil("opt/previous", aDirectory) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			live(w)
			w.promote("1", time.Time{})
			w.firmwareID, w.running = w.id, ""
			tt.when(w)
			rep, err := w.boot()
			if rep.Verdict != report.Current || err != nil || w.running != "1" {
				t.Errorf("verdict %s, %q runs: %v", rep.Verdict, w.running, err)
			}
			if !strings.Contains(strings.Join(rep.Warnings, "\n"), tt.warn) {
				t.Errorf("warnings %q", rep.Warnings)
			}
		})
	}
}

// spoilMeta does so in what is kept about the current release.
func (w *world) spoilMeta(name string, put func(string) error) {
	w.t.Helper()
	tree, err := os.Readlink(filepath.Join(w.dir, "opt/current"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.spoil(filepath.Join("opt", filepath.Dir(tree), "meta", name), put)
}

// After a reboot, a machine whose current release is lost and that waits for its
// turn has nothing to start. The run goes on all the same.
func TestARebootWithNothingToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		live(w)
		w.spreadSeconds = 60
		w.release("3")
		w.spoil("opt/releases", aDirectory)
		rep, err := w.boot()
		w.check(t, rep, err, result{report.Fresh, nil, "3", "3", nil})
	})
}

// Tags that answer 500 are asked for until fallback.after, and the group is then
// found in another way.
func TestTagsThatFail(t *testing.T) {
	for _, tt := range []struct {
		lasts time.Duration
		takes time.Duration
		want  result
	}{
		{time.Hour, 45 * time.Second, result{report.Failed, instance.ErrUnreachable, "", "", giveUp}},
		{20 * time.Second, 20 * time.Second, result{report.Fresh, nil, "1", "1", goOn}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			begun := time.Now()
			w.tagsErr = fmt.Errorf("status 500: %w", instance.ErrUnreachable)
			w.onTags = func() {
				if time.Since(begun) >= tt.lasts {
					w.tagsErr = nil
				}
			}
			rep, err := w.boot()
			w.check(t, rep, err, tt.want)
			if took := time.Since(begun); took != tt.takes {
				t.Errorf("took %v, want %v", took, tt.takes)
			}
			if err != nil && (failure.CodeOf(err) != failure.Metadata || strings.Contains(failure.Explain(err).Hint, "its own timeout decides")) {
				t.Errorf("code %d, hint %q: the action was completed", failure.CodeOf(err), failure.Explain(err).Hint)
			}
		})
	}
}

// TestASilentSource has a source that accepts requests and never answers.
func TestASilentSource(t *testing.T) {
	const after, deadline = 45 * time.Second, 15 * time.Minute
	for _, tt := range []struct {
		name   string
		given  func(*world)
		silent string
		takes  time.Duration
		want   result
	}{
		{"baked, no pointer", baked, "pointer", after, result{report.Stale, nil, "1", "1", goOn}},
		{"baked, no manifest", baked, "manifest", after, result{report.Stale, nil, "1", "1", goOn}},
		{"baked, no content", baked, "content", after, result{report.Stale, nil, "1", "1", goOn}},
		{"baked too long ago", func(w *world) { baked(w); w.age = time.Minute }, "pointer", deadline, result{report.Failed, failure.ErrDeadline, "1", "", giveUp}},
		{"nothing baked", nothingBaked, "pointer", deadline, result{report.Failed, failure.ErrDeadline, "", "", giveUp}},
		{"a reboot", func(w *world) { live(w); w.firmwareID, w.running = w.id, "" }, "pointer", after, result{report.Stale, nil, "1", "1", nil}},
		{"a reboot, no content", func(w *world) { live(w); w.firmwareID, w.running = w.id, "" }, "content", after, result{report.Stale, nil, "1", "1", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				tt.given(w)
				w.silent = tt.silent
				begun := time.Now()
				rep, err := w.boot()
				w.check(t, rep, err, tt.want)
				if took := time.Since(begun); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
				if tt.want.verdict == report.Stale && (rep.Error == nil || rep.Error.Code != int(failure.CodeOf(fetch.ErrTransport))) {
					t.Errorf("the cause is %+v", rep.Error)
				}
			})
		})
	}
}

// Files that the app and its operators read have the same permissions under any umask.
func TestModesUnderAnyUmask(t *testing.T) {
	w := newWorld(t)
	defer unix.Umask(unix.Umask(0o077))
	if _, err := w.boot(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		"opt": 0o755, "opt/releases": 0o755, "opt/current/web": 0o755, "state": 0o755, "state/reports/boot.json": 0o644, "run": 0o755, "run/env": 0o644, "run/lock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(w.dir, name))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// TestTheEnvironmentAfterAReboot is the app's environment before the network is
// up, and after it.
func TestTheEnvironmentAfterAReboot(t *testing.T) {
	canary := func(w *world) {
		w.promoteCanary("1")
		w.tags[config.TagChannel] = "canary"
		_, _ = w.boot()
		w.firmwareID, w.running, w.envs = w.id, "", nil
		w.remove("run/env")
	}
	const place = "KOBOSHI_REGION=eu-central-1 KOBOSHI_AZ=eu-central-1a"
	for _, tt := range []struct {
		name string
		when func(*world)
		run  func(*world) (report.Report, error)
		want []string // of each start
	}{
		{"nothing has changed", func(*world) {}, (*world).boot, []string{"canary " + place}},
		{"no identity", func(w *world) { w.identityErr = instance.ErrUnreachable }, (*world).boot, []string{"canary " + place}},
		{"it has another channel now", func(w *world) { delete(w.tags, config.TagChannel) }, (*world).boot, []string{"canary " + place, "stable " + place}},
		{"a sync where that is wrong", func(w *world) { _, _ = w.boot(); w.envs = nil; w.write("run/env", "KOBOSHI_REGION=\n") }, (*world).sync, []string{"canary " + place}},
		{"a sync where that is right", func(w *world) { _, _ = w.boot(); w.envs = nil }, (*world).sync, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			canary(w)
			tt.when(w)
			_, _ = tt.run(w)
			var got []string
			for _, env := range w.envs {
				got = append(got, placeOf(env))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("the app was started with %q, want %q", got, tt.want)
			}
			file, err := os.ReadFile(filepath.Join(w.dir, "run/env"))
			if last := placeOf(strings.Split(string(file), "\n")); err != nil || len(got) > 0 && last != got[len(got)-1] {
				t.Errorf("the file says %q, %v", last, err)
			}
		})
	}
}

// placeOf is the channel, region and zone in an environment.
func placeOf(env []string) string {
	value := func(key string) string {
		for _, v := range env {
			if after, found := strings.CutPrefix(v, key+"="); found {
				return after
			}
		}
		return ""
	}
	return fmt.Sprintf("%s KOBOSHI_REGION=%s KOBOSHI_AZ=%s", value("KOBOSHI_CHANNEL"), value("KOBOSHI_REGION"), value("KOBOSHI_AZ"))
}

// A launch that fails before it has opened its directories keeps the state's sequences.
func TestTroubleLosesNoSequences(t *testing.T) {
	w := newWorld(t)
	baked(w)
	w.spoil("opt", dangling) // where they would be learnt again
	if _, err := w.boot(); err == nil {
		t.Fatal("a store that cannot be opened is no success")
	}
	left := w.state()
	if got := left.Sequence("stable").Number; got != 1 || left.Instance != self || left.Signalled == nil {
		t.Errorf("sequence %d of the baked channel, instance %s, signalled %v", got, left.Instance, left.Signalled)
	}
}
