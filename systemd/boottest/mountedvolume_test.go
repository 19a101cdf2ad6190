//go:build boottest

package boottest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/report"
)

// The releases are on a volume of their own, and go from an image to a tree, to another
// image and to a tree: each time what is not kept is unmounted and removed.
func TestMountedOnVolume(t *testing.T) {
	for filesystem, images := range map[string][2]string{"ext4": {"erofs", "squashfs"}, "xfs": {"squashfs", "erofs"}} {
		t.Run(filesystem, func(t *testing.T) {
			t.Parallel()
			l := mountedLab(t, nil)
			volume := l.volume(filesystem)
			l.extra = append(l.extra, "--bind="+volume+":/opt/koboshi")
			l.publishWith("3.0.0", nil, "--image", images[0])
			l.publishWith("4.0.0", nil, "--image", images[1])
			first, second := "3.0.0 "+images[0], "4.0.0 "+images[1]
			l.promote("3.0.0")
			l.launch("")
			c := l.start("exit")
			c.up()
			c.wantMounts(first)
			c.syncTo("1.0.0") // a tree
			c.wantMounts(first)
			c.syncTo("4.0.0")
			c.wantMounts(second)
			c.end("reboot")
			c = l.start("exit")
			c.up()
			c.wantMounts(second)
			c.syncTo("2.0.0") // a tree
			c.must("koboshi", "rollback", "--reason", "checkout is slow")
			same(t, "the running version", c.version(), "4.0.0")
			c.must("koboshi", "verify")
			c.wantMounts(second)
			l.wantLoops(diskOf(t, volume), 1)
			c.end("exit")
			l.wantLoops(diskOf(t, volume), 0)
		})
	}
}

// syncTo moves the channel, and the machine with it.
func (c *container) syncTo(version string) report.Report {
	c.Helper()
	c.promote(version)
	rep := c.reports(0, "sync", "--wait")
	same(c.T, "sync", rep.Verdict, report.Fresh)
	same(c.T, "the running version", c.version(), version)
	return rep
}

// volume is a new file system, mounted.
func (l *lab) volume(filesystem string) string {
	l.Helper()
	disk, dir := filepath.Join(l.dir, filesystem), filepath.Join(l.dir, "volume")
	must(l.T, os.WriteFile(disk, nil, 0o600))
	must(l.T, os.Truncate(disk, 512<<20)) // sparse
	must(l.T, os.Mkdir(dir, 0o755))
	l.command("mkfs."+filesystem, "-q", disk)
	l.command("mount", "-o", "loop", disk, dir)
	l.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			l.Error(err)
		}
	})
	return dir
}

func (l *lab) command(name string, args ...string) {
	l.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.Fatalf("%s: %v: %s", name, err, out)
	}
}
