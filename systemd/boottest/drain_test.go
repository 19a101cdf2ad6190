//go:build boottest

package boottest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/elb"
	"koboshi/agent/drain"
	"koboshi/agent/report"
	"koboshi/cmd/koboshi/help"
)

const (
	linesPerSecond = 2000 // of the app
	fixedWait      = 120  // seconds that a termination waits for logs where nobody asks
	awayFor        = 5 * time.Second
	deregistration = 10 * time.Second
	stateDir       = "var/lib/koboshi/web"
	logFile        = "var/log/web/access.log"
)

// drained is a machine whose app writes to a log file all the time, behind a load
// balancer, and rsyslog that delivers it as the topic scale-in sets it up.
type drained struct {
	*container
	receiver *receiver
}

// chapter is what the topic has for rsyslog: koboshi's settings, a drop-in, and
// rsyslog's own.
var chapter = regexp.MustCompile("(?s)\n### rsyslog\n\n```toml\n(.*?)```.*?\n```ini\n(.*?)```.*?:\n\n((?:    [^\n]*\n)+)")

func shipping(t *testing.T, targetGroup string) files {
	t.Helper()
	topic, _ := help.Find("scale-in")
	rsyslog := chapter.FindStringSubmatch(topic.Text)
	if rsyslog == nil {
		t.Fatal("no chapter rsyslog in the topic scale-in")
	}
	return files{
		bootUnit: "", wants + "koboshi-boot.service": "", // koboshi install brings them
		"/etc/systemd/system/koboshi-watch.service.d/lab.conf": labEndpoint,
		webUnit: strings.Replace(webService, "User=daemon", "User=daemon\nLogsDirectory=web\nEnvironment=LINES=/"+logFile, 1),
		dropIn:  fmt.Sprintf("[lifecycle]\nterminate_hook = \"koboshi-terminating\"\n[drain]\ntarget_groups = [%q]\n%s", targetGroup, rsyslog[1]),
		"/etc/systemd/system/rsyslog.service.d/stats.conf": rsyslog[2],
		"/etc/rsyslog.d/web.conf":                          rsyslog[3],
		"/etc/hosts":                                       "127.0.0.1 localhost\n169.254.169.254 logs.internal\n",
		wants + "rsyslog.service":                          "-> /lib/systemd/system/rsyslog.service",
		"/etc/systemd/system/syslog.service":               "-> /lib/systemd/system/rsyslog.service",
	}
}

// serving launches such a machine, and returns when it serves and its log is
// delivered.
func serving(t *testing.T) *drained {
	t.Helper()
	l := newLab(t, standard().with(notObserved))
	targets, err := l.aws.Balancer().CreateGroup(elb.Group{Name: "web", Delay: deregistration})
	must(t, err)
	shipping(t, targets).write(t, l.root)
	must(t, built.koboshi(nil, "install", "--root", l.root))
	must(t, l.aws.CreateGroup(autoscaling.Group{Name: "logs", TargetGroups: []string{targets}, Hooks: []autoscaling.Hook{
		{Name: "koboshi-launching", Transition: autoscaling.OnLaunch}, {Name: "koboshi-terminating", Transition: autoscaling.OnTerminate},
	}}))
	l.promote("1.0.0")
	r := l.receiver()
	r.there()
	l.instance, err = l.aws.Launch(autoscaling.LaunchOptions{Group: "logs"})
	must(t, err)
	d := &drained{l.start("exit"), r}
	d.up()
	same(t, "state", l.instance.State(), autoscaling.InService)
	d.until(settleLimit, "the log is delivered", func() bool { return r.has() > linesPerSecond })
	l.aws.Calls().Reset()
	return d
}

// rotateWhileAway has no receiver for a while, in which the log file is renamed, as
// logrotate does.
func (d *drained) rotateWhileAway() {
	d.Helper()
	d.receiver.away()
	must(d.T, os.Rename(filepath.Join(d.root, logFile), filepath.Join(d.root, logFile+".1")))
	<-time.After(awayFor)
	d.receiver.there()
}

// reaches returns when the drain is at a step.
func (d *drained) reaches(step string) {
	d.Helper()
	d.until(settleLimit, "the drain is at "+step, func() bool {
		record, err := os.ReadFile(filepath.Join(d.root, stateDir, drain.File))
		return err == nil && strings.Contains(string(record), `"step": "`+step+`"`)
	})
}

// left waits until the group has let the instance go, and returns its lifecycle action.
func (d *drained) left() autoscaling.Action {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), settleLimit)
	defer cancel()
	must(d.T, d.instance.Await(ctx, autoscaling.Terminated))
	actions := d.instance.Actions()
	last := actions[len(actions)-1]
	if len(actions) != 2 || last.Result != autoscaling.Continue || last.Ending != autoscaling.ByCall {
		d.Errorf("lifecycle actions are %+v, want a second one, completed with CONTINUE", actions)
	}
	return last
}

// drain is the report of one that is over.
func (d *drained) drain() (r report.Report) {
	d.Helper()
	state, err := os.OpenRoot(filepath.Join(d.root, stateDir))
	must(d.T, err)
	defer func() { _ = state.Close() }()
	d.until(settleLimit, "the drain has a report", func() bool {
		r, err = report.Load(state, "drain")
		return err == nil
	})
	same(d.T, "verdict", r.Verdict, report.Drained)
	if r.Error != nil || len(r.Drain.Flush) != 1 || r.Drain.Flush[0].Outcome != "done" {
		d.Fatalf("the drain: %+v, flush %+v, error %v, warnings %q", r.Drain, r.Drain.Flush, r.Error, r.Warnings)
	}
	return r
}

// Nothing is lost at scale-in, and the app serves until nothing is sent to it any more.
func TestDrainLogs(t *testing.T) {
	t.Parallel()
	d := serving(t)
	d.rotateWhileAway()
	d.scaledIn("scale-in", func() {})
}

// CONTINUE comes after the last line, also where the receiver is away when the app is
// stopped.
func TestDrainLogsReceiverAway(t *testing.T) {
	t.Parallel()
	d := serving(t)
	d.scaledIn("scale-in, the receiver away until "+awayFor.String()+" after the stop", func() {
		d.receiver.away()
		d.reaches("flush")
		d.rotateWhileAway()
	})
}

// scaledIn terminates the instance. When its lifecycle hook waits, something happens.
func (d *drained) scaledIn(name string, meanwhile func()) {
	d.Helper()
	load := d.load("2")
	load.await("1.0.0")
	must(d.T, d.aws.Terminate(d.instance.ID()))
	ctx, cancel := context.WithTimeout(d.Context(), settleLimit)
	defer cancel()
	must(d.T, d.instance.Await(ctx, autoscaling.TerminatingWait))
	meanwhile()
	action := d.left()

	lines, again, last := d.delivered(action.Ended)
	var got tally
	d.until(settleLimit, "the app has stopped answering", func() bool { got = load.now(); return !got.Broke.IsZero() })
	if got.Broke.Before(action.Began) {
		d.Errorf("the app did not answer at %s, and the lifecycle hook waits since %s: %q", got.Broke, action.Began, got.Failed)
	}
	rep := d.drain()
	d.Logf("FIGURE %s: CONTINUE %.1f s after the lifecycle hook began to wait, %.1f s after the last line, %.1f s of them for the logs; a fixed wait is %d s. %d lines, %d more than once",
		name, action.Ended.Sub(action.Began).Seconds(), action.Ended.Sub(last).Seconds(), float64(rep.Drain.Flush[0].MS)/1000, fixedWait, lines, again)
	d.end("exit")
}

// A power-off that nobody announced waits until the logs are delivered.
func TestDrainLogsPowerOff(t *testing.T) {
	t.Parallel()
	d := serving(t)
	d.must("systemctl", "--no-block", "poweroff")
	d.rotateWhileAway()
	must(t, d.cmd.Wait())
	off := time.Now()

	rep := d.drain()
	same(t, "reason", rep.Drain.Reason, "shutdown")
	lines, again, last := d.delivered(rep.Started.Add(time.Duration(rep.MS) * time.Millisecond))
	t.Logf("FIGURE power-off: off %.1f s after the last line, the receiver away for %s of it; %d lines, %d more than once",
		off.Sub(last).Seconds(), awayFor, lines, again)
	same(t, "state", d.instance.State(), autoscaling.InService)
}

// A reboot in the midst of a drain loses nothing, and does not start the app again.
func TestDrainLogsReboot(t *testing.T) {
	t.Parallel()
	d := serving(t)
	must(t, d.aws.Terminate(d.instance.ID()))
	d.reaches("let-go")
	d.must("systemctl", "--no-block", "reboot")
	d.rotateWhileAway()
	_ = d.cmd.Wait() // its exit code is looked at
	same(t, "exit code of the machine", d.cmd.ProcessState.ExitCode(), rebooted)

	d.container = d.start("exit")
	d.up()
	action := d.left()
	lines, again, last := d.delivered(action.Ended)
	rep := d.drain()
	same(t, "reason", rep.Drain.Reason, "terminated")
	t.Logf("FIGURE reboot: CONTINUE %.1f s after the last line, the receiver away for %s of it; a fixed wait is %d s. %d lines, %d more than once",
		action.Ended.Sub(last).Seconds(), awayFor, fixedWait, lines, again)
	same(t, "the app", strings.TrimSpace(d.do("systemctl", "is-active", "web.service").out), "inactive")
	d.end("exit")
}
