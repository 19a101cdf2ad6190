//go:build boottest

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/report"
)

const watchUnit = "/etc/systemd/system/koboshi-watch.service"

// noted is what the app, the flush and the log shipper write when they have ended.
const noted = "/var/lab/noted"

// watched is an image in which the unit of the watch is enabled. The flush asks until
// /var/lab/delivered exists, and the shipper is a unit of the operator's own.
var watched = files{
	watchUnit + ".d/order.conf": "[Unit]\nAfter=shipper.service\n",
	webUnit:                     strings.Replace(webService, "[Install]", "ExecStopPost=+/bin/sh -c 'echo app >>"+noted+"'\n[Install]", 1),
	config:                      koboshiToml + "[drain]\non_shutdown = \"8s\"\n[drain.flush.app]\nkind = \"command\"\ncommand = [\"/bin/sh\", \"/usr/local/bin/delivered\"]\nuser = \"root\"\n",
	"/usr/local/bin/delivered":  "test -e /var/lab/delivered || exit 75\necho flush >>" + noted + "\n",
	"/etc/systemd/system/shipper.service": "[Unit]\nDescription=A log shipper\n[Service]\nExecStart=/bin/sleep infinity\n" +
		"ExecStop=/bin/sh -c 'echo shipper >>" + noted + "'\n",
	wants + "shipper.service": "-> /etc/systemd/system/shipper.service",
	"/var/lab/.keep":          "\n",
	"/var/lab/delivered":      "\n",
}

// undelivered is an image whose flush is not over before deliver is called.
var undelivered = files{"/var/lab/delivered": ""}

// installed launches a machine whose image koboshi install has made.
func installed(t *testing.T, image files) *container {
	t.Helper()
	l := newLab(t, standard().with(notObserved).with(image))
	must(t, built.koboshi(nil, "install", "--root", l.root))
	l.promote("1.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	return c
}

// watchedMachine is one that is up and watched, with a lifecycle hook for its end.
func watchedMachine(t *testing.T, image files) *container {
	t.Helper()
	c := installed(t, files{}.with(watched).with(image))
	must(t, c.aws.PutHook("web", autoscaling.Hook{Name: "koboshi-terminating", Transition: autoscaling.OnTerminate}))
	same(t, "the watch", c.active("koboshi-watch.service"), "active (running)")
	same(t, "the running version", c.version(), "1.0.0")
	return c
}

func (c *container) active(unit string) string {
	c.Helper()
	lines := strings.Fields(c.must("systemctl", "show", "--value", "--property=ActiveState,SubState", unit).out)
	return lines[0] + " (" + strings.Join(lines[1:], " ") + ")"
}

// noted is what has ended so far, in this order.
func (l *lab) noted() string {
	data, err := os.ReadFile(filepath.Join(l.root, noted))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(data)), " ")
}

// deliver lets the flush succeed.
func (l *lab) deliver() {
	l.Helper()
	must(l.T, os.WriteFile(filepath.Join(l.root, "var/lab/delivered"), nil, 0o644))
}

// gone returns once the group has let the instance go, by CONTINUE.
func (l *lab) gone() {
	l.Helper()
	l.until(settleLimit, "the instance is terminated", func() bool { return l.instance.State() == autoscaling.Terminated })
	actions := l.instance.Actions()
	if last := actions[len(actions)-1]; last.Hook != "koboshi-terminating" || last.Result != autoscaling.Continue {
		l.Errorf("the last lifecycle action is %+v, want CONTINUE", last)
	}
}

// off waits for the end of a machine that goes down.
func (c *container) off(code int) {
	c.Helper()
	_ = c.cmd.Wait() // its exit code is looked at
	same(c.T, "the machine ended with", c.cmd.ProcessState.ExitCode(), code)
	if strings.Contains(c.journal(), "ordering cycle") {
		c.Error("systemd found an ordering cycle")
	}
}

// The app is stopped first, then the watch, which flushes, then the log shipper.
// The next boot starts the app.
func TestWatchPowerOff(t *testing.T) {
	t.Parallel()
	c := watchedMachine(t, nil)
	c.must("systemctl", "--no-block", "poweroff")
	c.off(0)
	same(t, "what ended", c.noted(), "app flush shipper")
	rep := c.report()
	if rep.Verdict != report.Drained || rep.Error != nil || rep.Drain.Reason != "shutdown" || len(rep.Drain.Flush) != 1 || rep.Drain.Flush[0].Outcome != "done" {
		t.Errorf("the report is %+v, %+v", rep, rep.Drain)
	}
	c = c.start("exit")
	c.up()
	same(t, "the watch", c.active("koboshi-watch.service"), "active (running)")
	same(t, "the running version", c.version(), "1.0.0")
	c.end("exit")
}

// A flush that does not succeed holds the machine up no longer than drain.on_shutdown.
func TestWatchPowerOffUndelivered(t *testing.T) {
	t.Parallel()
	c := watchedMachine(t, undelivered)
	begun := time.Now()
	c.must("systemctl", "--no-block", "poweroff")
	c.off(0)
	took := time.Since(begun)
	same(t, "what ended", c.noted(), "app shipper")
	rep := c.report()
	if rep.Error == nil || rep.Error.Code != 24 || rep.Drain.Flush[0].Outcome != "left" {
		t.Errorf("the report is %+v, %+v", rep, rep.Drain)
	}
	t.Logf("power-off with an on_shutdown of 8 s: %.1f s", took.Seconds())
}

// The app serves until the lifecycle hook waits, and is stopped then.
func TestWatchScaleIn(t *testing.T) {
	t.Parallel()
	c := watchedMachine(t, nil)
	must(t, c.aws.Terminate(c.instance.ID()))
	c.gone()
	same(t, "what ended", c.noted(), "app flush")
	same(t, "the app", c.active("web.service"), "inactive (dead)")
	var waits time.Time
	for _, change := range c.instance.History() {
		if change.State == autoscaling.TerminatingWait {
			waits = change.At
		}
	}
	stopped := c.must("systemctl", "show", "--value", "--property=InactiveEnterTimestampMonotonic", "web.service")
	t.Logf("waits since %s, stopped %s", waits, stopped.out)
	rep := c.report()
	same(t, "verdict", rep.Verdict, report.Drained)
	c.must("systemctl", "--no-block", "poweroff")
	c.off(0)
}

// systemd starts a watch again that was killed, and the drain goes on where it was.
func TestWatchKilledInADrain(t *testing.T) {
	t.Parallel()
	c := watchedMachine(t, undelivered)
	must(t, c.aws.Terminate(c.instance.ID()))
	c.until(settleLimit, "the app has ended", func() bool { return c.noted() == "app" })
	c.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "koboshi-watch.service")
	c.until(settleLimit, "the watch was started again", func() bool {
		return strings.TrimSpace(c.do("systemctl", "show", "--value", "--property=NRestarts", "koboshi-watch.service").out) == "1" &&
			c.active("koboshi-watch.service") == "active (running)"
	})
	c.deliver()
	c.gone()
	same(t, "what ended", c.noted(), "app flush")
	c.must("systemctl", "--no-block", "poweroff")
	c.off(0)
}

// A reboot in the midst of a drain starts nothing, and the drain goes on.
func TestWatchRebootInADrain(t *testing.T) {
	t.Parallel()
	c := watchedMachine(t, undelivered)
	must(t, c.aws.Terminate(c.instance.ID()))
	c.until(settleLimit, "the app has ended", func() bool { return c.noted() == "app" })
	c.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "koboshi-watch.service") // else it would end the drain in drain.on_shutdown
	c.must("systemctl", "--no-block", "reboot")
	c.off(rebooted)
	c = c.start("exit")
	c.up()
	same(t, "the app", c.active("web.service"), "inactive (dead)")
	c.deliver()
	c.gone()
	same(t, "the app", c.active("web.service"), "inactive (dead)")
	if ended := c.noted(); strings.Count(ended, "app") != 1 || !strings.HasSuffix(ended, "flush") {
		t.Errorf("what ended: %s", ended)
	}
	c.must("systemctl", "--no-block", "poweroff")
	c.off(0)
}

// Out of a warm pool whose instances run there is no boot of the machine: the watch
// starts koboshi's again.
func TestWatchOutOfAWarmPool(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(notObserved))
	must(t, built.koboshi(nil, "install", "--root", l.root))
	must(t, l.aws.CreateGroup(autoscaling.Group{
		Name: "pooled", Hooks: []autoscaling.Hook{{Name: "koboshi-launching", Transition: autoscaling.OnLaunch}},
		Pool: &autoscaling.Pool{State: autoscaling.WarmedRunning},
	}))
	l.promote("1.0.0")
	var err error
	l.instance, err = l.aws.Launch(autoscaling.LaunchOptions{Group: "pooled", Warm: true})
	must(t, err)
	c := l.start("exit")
	c.up()
	c.until(settleLimit, "the instance is in the pool", func() bool { return l.instance.State() == autoscaling.WarmedRunning })
	same(t, "the app in the pool", c.active("web.service"), "inactive (dead)")
	l.promote("2.0.0")
	must(t, l.aws.Move(l.instance.ID(), autoscaling.ToService))
	c.until(settleLimit, "the instance is in service", func() bool { return l.instance.State() == autoscaling.InService })
	same(t, "the running version", c.version(), "2.0.0")
	c.end("exit")
}
