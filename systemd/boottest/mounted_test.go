//go:build boottest

package boottest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/report"
)

// mountedLab is a machine that may mount images, by the loop devices of this one,
// which all machines share.
func mountedLab(t *testing.T, image files) *lab {
	t.Helper()
	l := newLab(t, standard().with(notObserved).with(files{dropIn: "[install]\nimages = \"auto\"\nkeep = 2\n"}).with(image))
	makeLoops(t)
	for _, device := range append(loopNodes(t), "/dev/loop-control") {
		l.extra = append(l.extra, "--bind="+device)
	}
	return l
}

// loopCount is enough loop devices for all scenarios that run at once: a device that is
// made while a machine runs has no node there.
const loopCount = 32

func makeLoops(t *testing.T) {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	must(t, err)
	defer func() { _ = control.Close() }() // a device
	for n := range loopCount {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), unix.LOOP_CTL_ADD, uintptr(n)); errno != 0 && errno != unix.EEXIST {
			t.Fatal("LOOP_CTL_ADD: ", errno)
		}
	}
}

func loopNodes(t *testing.T) []string {
	t.Helper()
	devices, err := filepath.Glob("/dev/loop[0-9]*")
	must(t, err)
	return devices
}

// loops is how many loop devices have a file of a file system. The name of the file says
// nothing: another machine has one of that name, too.
func loops(t *testing.T, disk uint64) (count int) {
	t.Helper()
	for _, name := range loopNodes(t) {
		device, err := os.Open(name)
		if errors.Is(err, unix.ENXIO) {
			continue // its file is being taken away
		}
		must(t, err)
		info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
		must(t, device.Close())
		if err == nil && info.Device == disk { // else it has none
			count++
		}
	}
	return count
}

// diskOf is the file system that has dir.
func diskOf(t *testing.T, dir string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	must(t, unix.Stat(dir, &stat))
	return stat.Dev
}

// wantLoops waits until so many loop devices have a file of a file system: one that was
// unmounted is freed a moment later.
func (l *lab) wantLoops(disk uint64, want int) {
	l.Helper()
	l.until(settleLimit, fmt.Sprintf("%d loop devices are used", want), func() bool { return loops(l.T, disk) == want })
}

// wantMounts asserts which versions are mounted, with which file system.
func (c *container) wantMounts(want ...string) {
	c.Helper()
	var got []string
	for line := range strings.Lines(c.mounts()) {
		fields := strings.Fields(line)
		got = append(got, strings.Join(fields[:2], " "))
		if !strings.HasPrefix(fields[2], "ro,nosuid,nodev,") || strings.Contains(fields[2], "noexec") {
			c.Errorf("%s is mounted with %s", fields[0], fields[2])
		}
	}
	same(c.T, "what is mounted", strings.Join(got, ", "), strings.Join(want, ", "))
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
	c.wantMounts("3.0.0 erofs")
	same(t, "the running version", c.version(), "3.0.0")
	c.must("koboshi", "verify")

	c.end("reboot")
	for _, f := range down {
		l.aws.Faults().Add(f)
	}
	c = l.start("exit")
	c.up()
	c.wantMounts("3.0.0 erofs")
	same(t, "the running version", c.version(), "3.0.0")
	l.aws.Faults().Clear()
	same(t, "sync", c.reports(0, "sync", "--wait").Verdict, report.Current)

	for _, version := range []string{"4.0.0", "5.0.0"} {
		c.promote(version)
		same(t, "sync", c.reports(0, "sync", "--wait").Verdict, report.Fresh)
		same(t, "the running version", c.version(), version)
	}
	c.wantMounts("4.0.0 erofs", "5.0.0 squashfs")
	c.must("koboshi", "rollback", "--reason", "checkout is slow")
	same(t, "the running version", c.version(), "4.0.0")
	c.must("koboshi", "unhold")
	c.promote("2.0.0") // a tree
	same(t, "sync", c.reports(0, "sync", "--wait").Verdict, report.Fresh)
	c.wantMounts("4.0.0 erofs")
	l.wantLoops(diskOf(t, l.root), 1)
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
	c.wantMounts()
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
