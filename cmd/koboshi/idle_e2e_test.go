//go:build e2e

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
)

// TestE2EWatchIdle is what a watch costs while nothing happens: 20 s of it, or as long
// as KOBOSHI_IDLE says.
func TestE2EWatchIdle(t *testing.T) {
	idle := 20 * time.Second
	if text := os.Getenv("KOBOSHI_IDLE"); text != "" {
		long, err := time.ParseDuration(text)
		must(t, err)
		idle = long
	}
	l := newLab(t)
	l.release("1", 0)
	b := l.launch(autoscaling.LaunchOptions{})
	b.exits(0, "boot")
	w := startWithin(t, idle+patience, b.world.dir, b.env(), b.koboshi, b.args("watch")...)
	must(t, l.aws.Calls().Await(t.Context(), "imds", "", l.aws.Calls().Count("imds", "")+4)) // the first look
	pass(time.Second)
	l.aws.Calls().Reset()
	before := w.cost()
	pass(idle)
	after, asked := w.cost(), l.aws.Calls().Count("imds", "")
	others := l.aws.Calls().Filter(func(c faults.Call) bool { return c.Service != "imds" })
	must(t, w.cmd.Process.Signal(syscall.SIGTERM))
	w.wait().want(t, 0)

	used := after.cpu - before.cpu
	t.Logf("a watch that is idle for %v: %d KiB of RSS, %v of CPU (%.3f %% of a core), %.2f IMDS requests/s, %d calls of AWS, %d descriptors, %d threads",
		idle, after.rss>>10, used, 100*used.Seconds()/idle.Seconds(), float64(asked)/idle.Seconds(), len(others), after.files, after.threads)
	if looks := int(idle/(5*time.Second)) + 1; asked > 3*looks+1 { // and a token
		t.Errorf("%d requests of the metadata in %v, want three for each of %d looks", asked, idle, looks)
	}
	if len(others) > 0 {
		t.Errorf("calls of AWS: %v", others)
	}
	if after.files > before.files {
		t.Errorf("%d descriptors are open, %d were", after.files, before.files)
	}
}

// cost is what a process has used so far, and what it holds.
type cost struct {
	rss     int64
	cpu     time.Duration
	files   int
	threads int
}

// cost reads proc(5). The clock of a process's CPU time ticks 100 times a second on
// every Linux.
func (p *running) cost() (c cost) {
	p.Helper()
	dir := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	must(p.T, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	var user, system, pages int64
	fields := strings.Fields(rest) // from the third on
	for at, into := range map[int]any{14: &user, 15: &system, 20: &c.threads, 24: &pages} {
		_, err := fmt.Sscan(fields[at-3], into)
		must(p.T, err)
	}
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	must(p.T, err)
	c.cpu, c.rss, c.files = time.Duration(user+system)*10*time.Millisecond, pages*int64(os.Getpagesize()), len(open)
	return c
}
