//go:build boottest

package boottest

import (
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

// again is what a reboot comes to: nobody waits to hear of it.
func again(verdict report.Verdict) outcome {
	return inService(verdict, "1.0.0") // the hook's result is that of the launch
}

func TestReboot(t *testing.T) {
	t.Parallel()
	l, got := reboot(t, nil)
	again(report.Current).check(l, got)
	l.wantNoDownload()
	l.wantNoCalls("s3", time.Time{}, got.time(t, "web.service", "ActiveEnterTimestamp"))
	l.wantNoCalls("autoscaling", time.Time{}, time.Now())
}

// Nitro's firmware tells the instance id: the app is up before the agent asks
// the network anything.
func TestRebootNitro(t *testing.T) {
	t.Parallel()
	l, got := reboot(t, files{
		bootUnit + ".d/firmware.conf":       "[Service]\nTemporaryFileSystem=/sys/devices/virtual\nBindReadOnlyPaths=/etc/lab-firmware:/sys/devices/virtual/dmi/id\n",
		"/etc/lab-firmware/board_asset_tag": "i-0a5c0de0000000001\n",
	})
	again(report.Current).check(l, got)
	l.wantNoDownload()
	l.wantNoCalls("", got.time(t, "koboshi-boot.service", "ExecMainStartTimestamp"), got.time(t, "web.service", "ActiveEnterTimestamp"))
}

func TestRebootSourceDown(t *testing.T) {
	t.Parallel()
	l, got := reboot(t, nil, down...)
	again(report.Stale).check(l, got)
}
