//go:build boottest

package boottest

import (
	"strings"
	"testing"
	"time"

	"koboshi/agent/awstest/faults"
	"koboshi/agent/report"
)

// reboot launches an instance with version 1.0.0 and boots it a second time.
func reboot(t *testing.T, image files, faults ...faults.Fault) (l *lab, second seen) {
	t.Helper()
	l = newLab(t, standard().with(image))
	l.promote("1.0.0")
	l.launch("")
	inService(report.Fresh, "1.0.0").check(l, l.start("reboot").wait(rebooted))
	for _, f := range faults {
		l.aws.Faults().Add(f)
	}
	l.aws.Calls().Reset()
	return l, l.start("exit").wait(0)
}

// again is the outcome of a reboot: no lifecycle action waits.
func again(verdict report.Verdict) outcome {
	return inService(verdict, "1.0.0") // the result is that of the launch
}

func TestReboot(t *testing.T) {
	t.Parallel()
	l, got := reboot(t, nil)
	again(report.Current).check(l, got)
	l.wantNoDownload()
	l.wantNoCalls("s3", time.Time{}, got.time(t, "web.service", "ActiveEnterTimestamp"))
	l.wantNoCalls("autoscaling", time.Time{}, time.Now())
}

// firmware is Nitro's, where koboshi looks for it.
var firmware = files{
	bootUnit + ".d/firmware.conf":       "[Service]\nTemporaryFileSystem=/sys/devices/virtual\nBindReadOnlyPaths=/etc/lab-firmware:/sys/devices/virtual/dmi/id\n",
	"/etc/lab-firmware/board_asset_tag": "i-0a5c0de0000000001\n",
}

// With the instance id from Nitro's firmware the app is up before the agent uses
// the network.
func TestRebootNitro(t *testing.T) {
	t.Parallel()
	l, got := reboot(t, firmware)
	again(report.Current).check(l, got)
	l.wantNoDownload()
	l.wantOnlyNotices(got.time(t, "koboshi-boot.service", "ExecMainStartTimestamp"), got.time(t, "web.service", "ActiveEnterTimestamp"))
}

func TestRebootSourceDown(t *testing.T) {
	t.Parallel()
	l, got := reboot(t, nil, down...)
	again(report.Stale).check(l, got)
}

// The identity of an instance is kept over a reboot: the app has the channel, the
// region and the zone at its first start, and is not started twice.
func TestRebootCanary(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(notObserved).with(firmware).with(files{dropIn: "channels = [\"stable\", \"canary\"]\n"}))
	l.promote("2.0.0")
	l.promoteTo("canary", "1.0.0")
	l.launch("")
	l.instance.SetTag("koboshi:channel", "canary")
	c := l.start("exit")
	c.up()
	before := c.environment()
	c.end("reboot")
	l.aws.Calls().Reset()
	c = l.start("exit")
	c.up()
	same(t, "the app's environment", c.environment(), before)
	for _, want := range []string{"KOBOSHI_CHANNEL=canary", "KOBOSHI_REGION=us-east-1", "KOBOSHI_AZ=us-east-1a"} {
		if !strings.Contains(before, want+"\n") {
			t.Errorf("the app does not know %s:\n%s", want, before)
		}
	}
	c.keeps("1.0.0", func() { same(t, "sync", c.reports(0, "sync").Verdict, report.Current) })
	got := c.end("exit")
	l.wantOnlyNotices(got.time(t, "koboshi-boot.service", "ExecMainStartTimestamp"), got.time(t, "web.service", "ActiveEnterTimestamp"))
}

// environment is koboshi's variables in the app's process.
func (c *container) environment() string {
	c.Helper()
	return c.must("sh", "-c", `tr '\0' '\n' <"/proc/$(systemctl show --value --property=MainPID web.service)/environ" | grep ^KOBOSHI_ | sort`).out
}
