//go:build boottest

package boottest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/faults"
)

// downloads counts the requests for parts of artifacts.
func (l *lab) downloads() int {
	return len(l.aws.Calls().Filter(isDownload))
}

func isDownload(c faults.Call) bool {
	return c.Service == "s3" && strings.Contains(c.Path, "/web-linux-")
}

func (l *lab) wantNoDownload() {
	l.Helper()
	if n := l.downloads(); n != 0 {
		l.Errorf("%d requests for artifacts, want none", n)
	}
}

// wantNoCalls asserts that a service ("" = any) was not called in between.
func (l *lab) wantNoCalls(service string, from, to time.Time) {
	l.Helper()
	for _, c := range l.aws.Calls().All() {
		if (service == "" || c.Service == service) && c.Time.After(from) && c.Time.Before(to) {
			l.Errorf("%s %s %s at %s, before %s", c.Service, c.Operation, c.Path, c.Time, to)
		}
	}
}

// wantOnlyNotices asserts that nothing was asked in between but what is to become of
// the instance, by the boot and by the watch.
func (l *lab) wantOnlyNotices(from, to time.Time) {
	l.Helper()
	notices := []string{"api/token", "autoscaling/target-lifecycle-state", "spot/instance-action", "events/recommendations/rebalance"}
	for _, c := range l.aws.Calls().All() {
		notice := c.Service == "imds" && slices.ContainsFunc(notices, func(n string) bool { return strings.HasSuffix(c.Path, n) })
		if !notice && c.Time.After(from) && c.Time.Before(to) {
			l.Errorf("%s %s %s at %s, before %s", c.Service, c.Operation, c.Path, c.Time, to)
		}
	}
}

// time is a timestamp that systemd has of a unit.
func (s seen) time(t *testing.T, unit, property string) time.Time {
	t.Helper()
	at, err := time.Parse("Mon 2006-01-02 15:04:05.000000 MST", s.Units[unit][property])
	must(t, err)
	return at
}

// until waits for a condition.
func (l *lab) until(limit time.Duration, what string, holds func() bool) {
	l.Helper()
	for deadline := time.Now().Add(limit); !holds(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("after %s still not: %s", limit, what)
		}
	}
}

// awaitDownload returns when the agent has asked for an artifact.
func (c *container) awaitDownload() {
	c.Helper()
	c.until(settleLimit, "the download has begun", func() bool { return c.downloads() > 0 })
}

// cut kills all processes of the machine, PID 1 included.
func (c *container) cut() error {
	return os.WriteFile(filepath.Join(c.cgroup, "cgroup.kill"), []byte("1"), 0)
}

// kill sends a signal to all processes of a unit.
func (c *container) kill(unit string, signal unix.Signal) {
	c.Helper()
	killed := 0
	must(c.T, filepath.WalkDir(c.cgroup, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the unit of a hook has ended meanwhile
		}
		if err != nil || d.Name() != "cgroup.procs" || filepath.Base(filepath.Dir(name)) != unit {
			return err
		}
		pids, err := os.ReadFile(name)
		if errors.Is(err, unix.ENODEV) {
			return nil // it has ended since it was opened
		}
		for _, text := range strings.Fields(string(pids)) {
			pid, bad := strconv.Atoi(text)
			must(c.T, bad)
			if err := unix.Kill(pid, signal); err == nil {
				killed++
			} else if !errors.Is(err, unix.ESRCH) { // one that has ended meanwhile
				c.Error(err)
			}
		}
		return err
	}))
	if killed == 0 {
		c.Fatalf("nothing runs in %s", unit)
	}
}
