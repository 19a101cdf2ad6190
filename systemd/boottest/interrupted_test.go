//go:build boottest

package boottest

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

// startTimeout is a short TimeoutStartSec=.
const startTimeout = 6 * time.Second

// stuck is a download that begins and never ends.
var stuck = []faults.Fault{{Service: "s3", Operation: "GetObject", Path: "/web-linux-", Hang: true}}

func TestAgentKilled(t *testing.T) {
	t.Parallel()
	agentSignalled(t, unix.SIGKILL)
}

// The signal of systemd when a start lasts too long. The agent ends in order, but
// the launch is not over.
func TestAgentTerminated(t *testing.T) {
	t.Parallel()
	agentSignalled(t, unix.SIGTERM)
}

// agentSignalled ends the agent while it downloads; systemd starts it again.
func agentSignalled(t *testing.T, signal unix.Signal) {
	t.Helper()
	_, got := scenario{
		channel: "1.0.0",
		faults:  stuck,
		meanwhile: func(c *container) {
			c.awaitDownload()
			c.kill("koboshi-boot.service", signal)
			c.aws.Faults().Clear()
		},
		want: inService(report.Fresh, "1.0.0"),
	}.run(t)
	same(t, "restarts", got.Units["koboshi-boot.service"]["NRestarts"], "1")
}

// The watchdog is active once the unit is ready: after a reboot, while the agent
// reads the channel. It sends SIGABRT, at which a Go program ends with 2.
func TestAgentBarked(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(files{bootUnit + ".d/watchdog.conf": "[Service]\nWatchdogSec=5s\n"}))
	l.promote("1.0.0")
	l.launch("")
	inService(report.Fresh, "1.0.0").check(l, l.start("reboot").wait(rebooted))
	l.aws.Faults().Add(faults.Fault{Service: "s3", Hang: true})
	c := l.start("exit")
	c.until(settleLimit, "the watchdog has barked", func() bool { return strings.Contains(c.journal(), "Watchdog timeout") })
	l.aws.Faults().Clear()
	got := c.wait(0)
	inService(report.Current, "1.0.0").check(l, got)
	same(t, "restarts", got.Units["koboshi-boot.service"]["NRestarts"], "1")
}

// An orderly shutdown in the middle of a launch completes no lifecycle action.
func TestShutDown(t *testing.T) {
	t.Parallel()
	l := interrupted(t, func(c *container) error { return c.cmd.Process.Signal(unix.SIGTERM) })
	if exited := "koboshi-boot.service: Main process exited, code=exited, status=130"; !strings.Contains(l.journal(), exited) {
		t.Errorf("the journal does not say %q", exited)
	}
}

// All processes of a machine are killed at once.
func TestCut(t *testing.T) {
	t.Parallel()
	interrupted(t, (*container).cut)
}

// interrupted ends a machine while it downloads; its next boot continues.
func interrupted(t *testing.T, end func(*container) error) (l *lab) {
	t.Helper()
	l = newLab(t, standard())
	l.promote("1.0.0")
	l.launch("")
	l.aws.Faults().Add(stuck[0])
	l.aws.Calls().Reset()
	c := l.start("exit")
	c.awaitDownload()
	must(t, end(c))
	_ = c.cmd.Wait() // however it ended
	same(t, "state", l.instance.State(), autoscaling.PendingWait)
	l.aws.Faults().Clear()
	inService(report.Fresh, "1.0.0").check(l, l.start("exit").wait(0))
	return l
}

// The unit's start may take longer than its timeout for as long as the agent
// reports that it is alive.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	slow := stuck[0]
	slow.Hang, slow.Times, slow.Delay = false, 1, faults.Duration(2*startTimeout)
	_, got := scenario{
		image:   files{bootUnit + ".d/timeout.conf": "[Service]\nTimeoutStartSec=" + startTimeout.String() + "\n"},
		channel: "1.0.0",
		faults:  []faults.Fault{slow},
		want:    inService(report.Fresh, "1.0.0"),
	}.run(t)
	same(t, "restarts", got.Units["koboshi-boot.service"]["NRestarts"], "0")
}
