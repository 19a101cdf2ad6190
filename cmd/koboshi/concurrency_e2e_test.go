//go:build e2e

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/failure"
)

// TestE2ETwoAgents runs three at once on one box: the first boot installs, the
// second waits for it and finds everything done, a sync does not wait.
func TestE2ETwoAgents(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	b := l.launch(autoscaling.LaunchOptions{})
	l.aws.Faults().Add(on(faults.Fault{Hang: true}))
	first := b.start("boot")
	b.await("s3", artifactPath, 1)
	second := b.start("boot")
	r := b.run("sync")
	r.want(t, failure.Locked)
	r.says(t, "(koboshi boot, since ", "--wait")
	second.awaitOpen(b.path("run", "lock"))
	l.aws.Faults().Clear()
	first.wait().want(t, 0)
	asked := len(b.artifactCalls())
	waited := second.wait()
	waited.want(t, 0)
	if !strings.Contains(waited.output, "web 1 is running (current") {
		t.Errorf("the second boot says\n%s", waited.output)
	}
	if n := len(b.artifactCalls()); n != asked {
		t.Errorf("the second boot asked %d times for the artifact", n-asked)
	}
	if n := l.aws.Calls().Count("autoscaling", "CompleteLifecycleAction"); n != 1 {
		t.Errorf("the hook was told %d times, want once", n)
	}
	b.told("CONTINUE")
	b.verifies("1")
	b.tidy()
}

// TestE2ESyncWaits has a sync that may wait: it comes second.
func TestE2ESyncWaits(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	b := l.launch(autoscaling.LaunchOptions{})
	l.aws.Faults().Add(on(faults.Fault{Hang: true}))
	boot := b.start("boot")
	b.await("s3", artifactPath, 1)
	sync := b.start("sync", "--wait")
	sync.awaitOpen(b.path("run", "lock"))
	l.aws.Faults().Clear()
	boot.wait().want(t, 0)
	sync.wait().want(t, 0)
	b.told("CONTINUE")
}

// TestE2EInterrupted sends SIGTERM during an install, as a shutdown does. The
// lifecycle action is not completed, and the next boot continues.
func TestE2EInterrupted(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			b := l.on(t).launch(autoscaling.LaunchOptions{})
			b.suffers(on(faults.Fault{Hang: true, Skip: 1}))
			boot := b.start("boot")
			b.await("s3", artifactPath, 2)
			must(t, boot.cmd.Process.Signal(signal))
			r := boot.wait()
			r.want(t, failure.Interrupted)
			r.says(t, "interrupted", "the next boot continues")
			b.told("nothing")
			if n := len(b.calls("autoscaling", "")); n > 0 {
				t.Errorf("%d calls of Auto Scaling by a boot that was interrupted", n)
			}
			if got := b.current(); got != "" {
				t.Errorf("current is %s", got)
			}
			l.aws.Faults().Clear()
			b.exits(0, "boot")
			b.told("CONTINUE")
			b.verifies("1")
			b.tidy()
		})
	}
}

// awaitOpen waits until the process has a file open.
func (p *running) awaitOpen(path string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		fds := "/proc/" + fmt.Sprint(p.cmd.Process.Pid) + "/fd"
		entries, err := os.ReadDir(fds)
		must(p.T, err)
		for _, fd := range entries {
			if target, err := os.Readlink(fds + "/" + fd.Name()); err == nil && target == path {
				return
			}
		}
		pass(time.Millisecond)
	}
	p.Fatalf("it does not open %s", path)
}
