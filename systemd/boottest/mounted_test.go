//go:build boottest

package boottest

import (
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/report"
)

// mountedLab is a machine that may mount images, by the loop devices of this one,
// which all machines share.
func mountedLab(t *testing.T, image files) *lab {
	t.Helper()
	l := newLab(t, standard().with(notObserved).with(files{dropIn: "[install]\nimages = \"auto\"\nkeep = 2\n"}).with(image))
	devices, err := filepath.Glob("/dev/loop*")
	must(t, err)
	for _, device := range devices {
		l.extra = append(l.extra, "--bind="+device)
	}
	return l
}

// mounts is what is mounted beneath install.root: a line for each, with the version.
func (c *container) mounts() string {
	c.Helper()
	return strings.TrimSpace(c.must("sh", "-c",
		`sed -n 's|^[^ ]* /opt/koboshi/web/releases/\([^-]*\)-[^/]*/tree \([^ ]*\) \([^ ]*\).*|\1 \2 \3|p' /proc/mounts | sort`).out)
}

// An image from its publication to its end: mounted at the launch, again after a
// reboot, by a rollback and an update, and unmounted once it is no longer kept.
func TestMounted(t *testing.T) {
	t.Parallel()
	l := mountedLab(t, nil)
	for version, kind := range map[string]string{"3.0.0": "erofs", "4.0.0": "erofs-lz4", "5.0.0": "squashfs"} {
		l.publishWith(version, nil, "--image", kind)
	}
	l.promote("3.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	const options = " ro,nosuid,nodev,relatime"
	mounted := func(want ...string) {
		t.Helper()
		got := strings.Split(c.mounts(), "\n")
		if len(got) != len(want) {
			t.Errorf("mounted are %q, want %q", got, want)
			return
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]+options) {
				t.Errorf("mounted is %q, want %s%s", got[i], want[i], options)
			}
		}
	}
	mounted("3.0.0 erofs")
	same(t, "the running version", c.version(), "3.0.0")
	c.must("koboshi", "verify")

	c.end("reboot")
	for _, f := range down {
		l.aws.Faults().Add(f)
	}
	c = l.start("exit")
	c.up()
	mounted("3.0.0 erofs")
	same(t, "the running version", c.version(), "3.0.0")
	l.aws.Faults().Clear()
	same(t, "sync", c.reports(0, "sync", "--wait").Verdict, report.Current)

	for _, version := range []string{"4.0.0", "5.0.0"} {
		c.promote(version)
		same(t, "sync", c.reports(0, "sync", "--wait").Verdict, report.Fresh)
		same(t, "the running version", c.version(), version)
	}
	mounted("4.0.0 erofs", "5.0.0 squashfs")
	c.must("koboshi", "rollback", "--reason", "checkout is slow")
	same(t, "the running version", c.version(), "4.0.0")
	c.must("koboshi", "unhold")
	c.promote("2.0.0") // a tree
	same(t, "sync", c.reports(0, "sync", "--wait").Verdict, report.Fresh)
	mounted("4.0.0 erofs")
	same(t, "loop devices", strings.TrimSpace(c.must("sh", "-c", "cat /sys/block/loop*/loop/backing_file | grep -c /releases/").out), "1")
	c.end("exit")
}

// Where the image cannot be mounted the same boot takes the tree.
func TestMountedNowhere(t *testing.T) {
	t.Parallel()
	l := mountedLab(t, nil)
	l.extra = nil // no loop devices
	l.publishWith("3.0.0", nil, "--image", "erofs")
	l.promote("3.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	same(t, "what is mounted", c.mounts(), "")
	same(t, "the running version", c.version(), "3.0.0")
	c.says("could not be mounted", "journalctl", "--boot", "--unit", "koboshi-boot.service")
	c.must("koboshi", "verify")
	c.end("exit")
}

// An image that was altered is not mounted: it is fetched again before the app starts.
func TestMountedAltered(t *testing.T) {
	t.Parallel()
	l := mountedLab(t, files{"/etc/koboshi/koboshi.d/verify.toml": "[install]\nverify = \"start\"\n"})
	l.publishWith("3.0.0", nil, "--image", "erofs")
	l.promote("3.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	c.must("sh", "-c", "printf altered | dd of=$(echo /opt/koboshi/web/releases/3.0.0-*/meta/image) bs=1 seek=100000 conv=notrunc")
	c.exits(16, "koboshi", "verify")
	c.end("reboot")
	c = l.start("exit")
	c.up()
	c.says("was changed on this machine", "journalctl", "--boot", "--unit", "koboshi-boot.service")
	c.must("koboshi", "verify")
	same(t, "the running version", c.version(), "3.0.0")
	c.end("exit")
}
