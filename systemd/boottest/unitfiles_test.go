//go:build boottest

package boottest

import (
	"testing"

	"koboshi/agent/report"
)

// lateFeature writes a drop-in for the app's unit as user data does: before
// koboshi runs, after systemd has read the unit, and without a daemon-reload.
var lateFeature = files{
	"/etc/systemd/system/sidecar.service": "[Unit]\nAfter=web.service\n[Service]\nExecStart=/bin/sleep infinity\n",
	wants + "sidecar.service":             "-> /etc/systemd/system/sidecar.service",
	"/etc/systemd/system/user-data.service": "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\nBefore=koboshi-boot.service sysinit.target\n" +
		"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'mkdir -p /etc/systemd/system/web.service.d; " +
		"printf \"[Service]\\nEnvironment=FEATURE=on\\n\" >/etc/systemd/system/web.service.d/10-feature.conf'\n",
	"/etc/systemd/system/sysinit.target.wants/user-data.service": "-> /etc/systemd/system/user-data.service",
}

func TestUnitChangedByUserData(t *testing.T) {
	t.Parallel()
	c := live(t, lateFeature)
	c.hasFeature("on")
	inService(report.Fresh, "1.0.0").check(c.lab, c.end("exit"))
}

func TestUnitChangedBeforeSync(t *testing.T) {
	t.Parallel()
	c := live(t, nil)
	c.hasFeature("")
	c.must("sh", "-c", `mkdir -p /etc/systemd/system/web.service.d
		printf '[Service]\nEnvironment=FEATURE=on\n' >/etc/systemd/system/web.service.d/10-feature.conf`)
	c.promote("2.0.0")
	c.must("koboshi", "sync")
	c.hasFeature("on")
	c.end("exit")
}

// hasFeature expects a variable in the environment of the app's process.
func (c *container) hasFeature(want string) {
	c.Helper()
	got := c.must("sh", "-c", `tr '\0' '\n' </proc/$(systemctl show -P MainPID web.service)/environ | sed -n 's/^FEATURE=//p'`).out
	same(c.T, "FEATURE of the app", got, want+map[bool]string{true: "\n"}[want != ""])
}
