//go:build boottest

package boottest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	emitted     = "/var/lab/emitted"
	stopTimeout = 2 * time.Second
	stopMargin  = 3 * time.Second // a busy machine is late
)

// stubborn is a service that emits the time in milliseconds every few of them, and
// goes on after SIGTERM; a socket that starts it; and a second app beside.
var stubborn = files{
	"/etc/systemd/system/stubborn.service": "[Service]\nTimeoutStopSec=2s\nRestart=always\nStandardInput=null\n" +
		"ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do date +%%s%%3N >>" + emitted + "; sleep 0.05; done'\n",
	"/etc/systemd/system/stubborn.socket": "[Socket]\nListenStream=/run/stubborn.sock\n",
	"/etc/systemd/system/other.service":   "[Service]\nExecStart=/bin/sleep infinity\n",
	"/etc/systemd/system/isolated.target": "[Unit]\nAllowIsolate=yes\nRequires=basic.target\nWants=stubborn.socket stubborn.service other.service web.service\n",
	"/var/lab/.keep":                      "\n",
}

// stoppable is a machine that runs those.
func stoppable(t *testing.T, image files) *container {
	t.Helper()
	l := newLab(t, standard().with(notObserved).with(stubborn).with(image))
	l.copyIn("stopper", "/usr/local/bin/stopper", 0o755)
	l.promote("1.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	c.must("systemctl", "start", "stubborn.socket", "stubborn.service", "other.service")
	return c
}

// arm arms a stop of stubborn's units.
func (c *container) arm(at time.Time) {
	c.Helper()
	c.must("stopper", "arm", "app", fmt.Sprint(at.Unix()), "stubborn.service", "stubborn.socket")
	same(c.T, "armed for", c.armed(), fmt.Sprint(at.Unix()))
}

func (c *container) armed() string {
	c.Helper()
	return strings.TrimSpace(c.must("stopper", "armed", "app").out)
}

// lastEmitted is the last time that stubborn.service has emitted.
func (l *lab) lastEmitted() time.Time {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.root, emitted))
	must(l.T, err)
	lines := strings.Fields(string(text[:bytes.LastIndexByte(text, '\n')+1])) // another one may be on its way
	ms, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	must(l.T, err)
	return time.UnixMilli(ms)
}

// awaitStop returns when the armed stop of stubborn's units is over, and checks that
// it was before the end.
func (c *container) awaitStop(end time.Time) {
	c.Helper()
	c.until(settleLimit, "the units have stopped", func() bool { return c.active("stubborn.service") == "failed (failed)" })
	last := c.lastEmitted()
	if !last.Before(end) {
		c.Errorf("something was emitted at %s, after the end at %s", last, end)
	}
	if begun := end.Add(-stopTimeout - stopMargin); last.Before(begun) {
		c.Errorf("the last was emitted at %s, before the stop was to begin, at %s", last, begun)
	}
	c.Logf("FIGURE the last was emitted %.2f s before the end", end.Sub(last).Seconds())
	same(c.T, "the socket", c.active("stubborn.socket"), "inactive (dead)")
	same(c.T, "another app", c.active("other.service"), "active (running)")
	same(c.T, "the app", c.active("web.service"), "active (running)")
}

// wantNothingLeft: systemd has nothing of a stop that is over, on no list and no disk.
func (c *container) wantNothingLeft() {
	c.Helper()
	c.until(settleLimit, "nothing of the stop is left", func() bool {
		return c.must("systemctl", "list-units", "--all", "--no-legend", "koboshi-stop-*").out == ""
	})
	same(c.T, "files of transient units", c.must("sh", "-c", "ls /run/systemd/transient | grep -c koboshi-stop; true").out, "0\n")
	same(c.T, "armed for", c.armed(), "none")
}

// PID 1 stops the units before the end, with the process that has armed it long gone, also
// where they ignore SIGTERM and Restart= would start them again. What was armed outlives
// a reload, a re-execution and an isolate of systemd.
func TestStopTimer(t *testing.T) {
	t.Parallel()
	c := stoppable(t, nil)
	end := time.Now().Add(15 * time.Second).Truncate(time.Second)
	c.arm(end.Add(-stopTimeout - stopMargin))
	c.must("systemctl", "daemon-reload")
	c.must("systemctl", "daemon-reexec")
	c.must("systemctl", "daemon-reload")
	c.must("systemctl", "--no-block", "isolate", "isolated.target")
	c.awaitStop(end)
	c.wantNothingLeft()

	// The units can be started again, and be stopped again.
	c.must("systemctl", "start", "stubborn.socket", "stubborn.service")
	same(t, "the unit", c.active("stubborn.service"), "active (running)")
	end = time.Now().Add(10 * time.Second).Truncate(time.Second)
	c.arm(end.Add(-stopTimeout - stopMargin))
	c.awaitStop(end)
	c.wantNothingLeft()
	c.end("exit")
}

// What is armed while the machine shuts down is armed, and comes: an app that a shutdown
// waits for is stopped at the end, whatever ExecStop= does meanwhile.
func TestStopTimerAtShutdown(t *testing.T) {
	t.Parallel()
	c := stoppable(t, files{"/etc/systemd/system/stubborn.service.d/late.conf": "[Unit]\nDefaultDependencies=no\n",
		"/etc/systemd/system/armer.service": "[Service]\nExecStart=/bin/sleep infinity\nTimeoutStopSec=30s\nExecStop=/bin/sh -c '" +
			"end=$(($(date +%%s)+4)); echo $end >/var/lab/end; stopper arm app $end stubborn.service && stopper armed app >/var/lab/armed; " +
			"while [ $(date +%%s) -lt $((end+6)) ]; do sleep 0.1; done'\n"})
	c.must("systemctl", "start", "armer.service")
	c.must("systemctl", "--no-block", "poweroff")
	c.off(0)
	end := c.seconds("/var/lab/end")
	same(t, "armed for", c.seconds("/var/lab/armed"), end)
	if last := c.lastEmitted(); last.Before(end) || last.After(end.Add(stopTimeout+stopMargin)) {
		t.Errorf("the last was emitted at %s, want it stopped in %s from %s", last, stopTimeout+stopMargin, end)
	}
}

func (l *lab) seconds(name string) time.Time {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.root, name))
	must(l.T, err)
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	must(l.T, err)
	return time.Unix(n, 0)
}

// What is armed again replaces the earlier, which never comes; a moment that has passed
// is none.
func TestStopTimerAgain(t *testing.T) {
	t.Parallel()
	c := stoppable(t, nil)
	first := time.Now().Add(5 * time.Second)
	c.arm(first)
	later := first.Add(time.Hour)
	c.arm(later)
	c.arm(later)
	c.exits(1, "stopper", "arm", "app", fmt.Sprint(time.Now().Add(-time.Hour).Unix()), "stubborn.service")
	c.exits(1, "stopper", "arm", "app", fmt.Sprint(time.Now().Unix()), "stubborn.service")
	same(t, "armed for", c.armed(), fmt.Sprint(later.Unix()))
	same(t, "timers", c.must("sh", "-c", "systemctl list-timers --all --no-legend | grep -c koboshi-stop").out, "1\n")
	c.until(settleLimit, "the first moment has passed", func() bool { return c.lastEmitted().After(first.Add(2 * time.Second)) })
	c.must("stopper", "disarm", "app")
	same(t, "the unit", c.active("stubborn.service"), "active (running)")
	c.wantNothingLeft()
	c.end("exit")
}
