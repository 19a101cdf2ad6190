//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
)

// cutsEach is how often each command loses power on each filesystem: 60 times
// in all.
const cutsEach = 10

// TestE2EPowerCuts cuts the power of boot, sync and prebake on real filesystems,
// before mutating system calls that are distributed evenly over the run. Data that
// was not synced is lost. The current release is then whole, and the next run
// converges.
func TestE2EPowerCuts(t *testing.T) {
	l := newLab(t)
	trees := map[string]string{"1": l.release("1", 64<<10), "2": l.tree("2", 96<<10)}
	l.publish("2", trees["2"])
	l.publisher("promote", "--channel", "canary", "--version", "2")
	for i, filesystem := range []string{"ext4", "xfs"} {
		for _, c := range []cutCommand{
			{"boot", (*box).poweredOff, (*box).bootsAgain, "1"},
			{"sync", (*box).livesBehind, (*box).rebootsAhead, "2"},
			{"prebake", (*box).poweredOff, (*box).bakesAgain, "1"},
		} {
			t.Run(filesystem+" "+c.name, func(t *testing.T) {
				t.Parallel()
				d := l.on(t).disk(filesystem)
				b := d.box("undisturbed", c)
				all := b.mutations(c.name)
				d.stop(b)
				for n := range cutsEach {
					at := (2*n + i) * len(all) / (2 * cutsEach) // the two filesystems take turns
					b := d.box(fmt.Sprint(n), c)
					b.endAt(at, c.name, d.cut)
					d.stop(b)
					d.remount()
					must(t, os.RemoveAll(b.path("run"))) // it is a tmpfs on a real machine
					b.whole(trees)
					c.again(b)
					b.converged(trees, c.version)
					d.stop(b)
				}
			})
		}
	}
}

// TestE2EPowerCutsAtTheFirstRelease cuts the power while the app is started from the
// first release of a machine and that is brought to the disk: before the link is made,
// and before each of the calls that follow. What is not complete is no release, and
// the next boot makes it again.
func TestE2EPowerCutsAtTheFirstRelease(t *testing.T) {
	const calls = 20 // from the link to the mark of health
	l := newLab(t)
	trees := map[string]string{"1": l.release("1", 64<<10)}
	for _, filesystem := range []string{"ext4", "xfs"} {
		t.Run(filesystem, func(t *testing.T) {
			t.Parallel()
			d := l.on(t).disk(filesystem)
			for n := range calls {
				b := d.box(fmt.Sprint(n), cutCommand{before: (*box).poweredOff})
				shown, left := false, n
				b.endWhen(func(m mutation) bool {
					if shown = shown || m.call == "symlinkat" && filepath.Base(m.path) == "current"; shown {
						left--
					}
					return left < 0
				}, "boot", d.cut)
				d.stop(b)
				d.remount()
				must(t, os.RemoveAll(b.path("run"))) // it is a tmpfs on a real machine
				b.whole(trees)
				b.bootsAgain()
				b.converged(trees, "1")
				d.stop(b)
			}
		})
	}
}

// cutCommand is a command that loses power: what it finds, what comes after the
// cut, and the version that the machine must have in the end.
type cutCommand struct {
	name    string
	before  func(*box)
	again   func(*box)
	version string
}

func (b *box) poweredOff() {}

func (b *box) bootsAgain() {
	b.Helper()
	b.exits(0, "boot")
	b.told("CONTINUE")
}

// livesBehind makes a machine that runs version 1, and whose channel points to 2.
func (b *box) livesBehind() {
	b.Helper()
	b.exits(0, "boot")
	b.instance.SetTag("koboshi:channel", "canary")
}

func (b *box) rebootsAhead() {
	b.Helper()
	if b.current() == "" {
		b.Error("no release is current")
	}
	b.exits(0, "boot")
}

func (b *box) bakesAgain() {
	b.Helper()
	b.exits(0, "prebake")
	b.relaunch(autoscaling.LaunchOptions{})
	b.bootsAgain()
}

// disk is a filesystem that can lose power.
type disk struct {
	*lab
	image string
	dir   string // where it is mounted
}

// disk makes one in a mount namespace of this test's thread, which is never given
// back: a process that took a copy of the mount would keep the filesystem alive,
// and what was lost would still be seen.
func (l *lab) disk(filesystem string) *disk {
	l.Helper()
	runtime.LockOSThread()
	must(l.T, unix.Unshare(unix.CLONE_NEWNS))
	must(l.T, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	mkfs := needs(l.T, "mkfs."+filesystem, map[string]string{"ext4": "e2fsprogs", "xfs": "xfsprogs"}[filesystem])
	d := &disk{l, filepath.Join(l.TempDir(), "image"), l.TempDir()}
	must(l.T, os.WriteFile(d.image, nil, 0o600))
	must(l.T, os.Truncate(d.image, 512<<20)) // sparse
	if out, err := exec.Command(mkfs, "-q", d.image).CombinedOutput(); err != nil {
		l.Fatalf("%s: %v: %s", mkfs, err, out)
	}
	d.mount()
	l.Cleanup(d.unmount)
	return d
}

func (d *disk) mount() {
	d.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		d.Fatalf("this test mounts an image of a disk, for which it must be root: %v: %s", err, out)
	}
}

// unmount waits for the last process that was killed to let go of the disk.
func (d *disk) unmount() {
	d.Helper()
	d.until("nothing uses the disk any more", func() bool {
		err := unix.Unmount(d.dir, 0)
		if err != nil && err != unix.EBUSY {
			d.Fatal(err)
		}
		return err == nil
	})
}

func (d *disk) remount() {
	d.Helper()
	d.unmount()
	d.mount()
}

// box is a machine on the disk, all of it synced, where the command is about to
// run.
func (d *disk) box(name string, c cutCommand) *box {
	d.Helper()
	b := d.bare(filepath.Join(d.dir, name))
	// A disk that has lost power can be read no more: the pid must be elsewhere.
	b.pid = filepath.Join(d.TempDir(), "app.pid")
	b.quick()
	b.relaunch(autoscaling.LaunchOptions{})
	c.before(b)
	top, err := os.Open(d.dir)
	must(d.T, err)
	must(d.T, unix.Syncfs(int(top.Fd())))
	must(d.T, top.Close())
	return b
}

func (d *disk) stop(b *box) { stopApp(b.pid) }

// cut cuts the power: from now on nothing reaches the disk, the journal of the
// filesystem included.
func (d *disk) cut() {
	d.Helper()
	const (
		shutdown     = 0x8004587d // FS_IOC_SHUTDOWN of linux/fs.h, _IOR('X', 125, __u32)
		withoutFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH
	)
	top, err := os.Open(d.dir)
	must(d.T, err)
	must(d.T, unix.IoctlSetPointerInt(int(top.Fd()), shutdown, withoutFlush))
	must(d.T, top.Close())
}
