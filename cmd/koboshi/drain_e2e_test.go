//go:build e2e

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/drain"
)

// TestE2EKilledDrain kills a drain with SIGKILL before each of its mutating system
// calls in turn. A watch that starts afterwards goes on: the app is stopped once, its
// lifecycle action is completed once, with CONTINUE, and the record ends.
func TestE2EKilledDrain(t *testing.T) {
	const atOnce = 24 // each of them mostly waits
	l := newLab(t)
	l.release("1", 0)
	must(t, l.aws.PutHook("web", autoscaling.Hook{Name: "koboshi-terminating", Transition: autoscaling.OnTerminate}))
	all := l.leaving().mutations("drain")
	var whole atomic.Int64
	var kills sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for n := range all {
		slots <- struct{}{}
		kills.Go(func() {
			defer func() { <-slots }()
			b := l.leaving()
			b.killAt(n, "drain")
			b.watchesToTheEnd()
			if b.drained(all[n]) {
				whole.Add(1)
			}
		})
	}
	kills.Wait()
	t.Logf("%d of %d: killed before each mutating call of a drain", whole.Load(), len(all))
	if int(whole.Load()) != len(all) {
		t.Error("not every drain went to its end")
	}
}

// leaving is an instance in service that the group has just decided to end. Its app
// notes each time that it is really stopped.
func (l *lab) leaving() *box {
	l.Helper()
	b := l.launch(autoscaling.LaunchOptions{})
	b.override("20-drain", fmt.Sprintf(`[service]
stop = ["sh", "-c", "grep -qs '^State:[^Z]*$' /proc/$(cat %[1]s)/status && echo stopped >>%[2]s; GORACE=atexit_sleep_ms=0 exec testapp stop %[3]s %[1]s"]
[lifecycle]
terminate_hook = "koboshi-terminating"
[drain]
deadline = "1m"
[drain.flush.app]
kind = "command"
command = ["true"]
timeout = "3s"
[hooks]
user = "root"
timeout = "3s"
`, b.pid, b.path("stopped"), b.addr))
	b.exits(0, "boot")
	must(b.T, b.lab.aws.Terminate(b.instance.ID()))
	return b
}

// watchesToTheEnd watches until the instance has gone, and the drain is over.
func (b *box) watchesToTheEnd() {
	b.Helper()
	w := b.start("watch")
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	if err := b.instance.Await(ctx, autoscaling.Terminated); err != nil {
		b.Errorf("the instance is %s: %v", b.instance.State(), err)
	}
	for ctx.Err() == nil && !b.drainIsOver() {
		pass(50 * time.Millisecond)
	}
	must(b.T, w.cmd.Process.Signal(syscall.SIGTERM))
	if r := w.wait(); !r.killed { // the signal may come before the watch has begun
		r.want(b.T, 0)
	}
}

func (b *box) drainIsOver() bool {
	dir, err := os.OpenRoot(b.path("state"))
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	r, warning, err := drain.Load(dir)
	return warning == nil && err == nil && r.Instance == b.instance.ID() && !r.Open()
}

// drained asserts how a drain that was killed before m ended.
func (b *box) drained(m mutation) bool {
	b.Helper()
	stops, _ := os.ReadFile(b.path("stopped"))
	n := strings.Count(string(stops), "stopped\n")
	told := 0
	for _, a := range b.instance.Actions() {
		if a.Hook == "koboshi-terminating" && a.Result == autoscaling.Continue && a.Ending == autoscaling.ByCall {
			told++
		}
	}
	if n != 1 || told != 1 || !b.drainIsOver() {
		b.Errorf("killed before %s: stopped %d times, completed %d times, over: %v", m, n, told, b.drainIsOver())
		return false
	}
	b.serves("")
	return true
}
