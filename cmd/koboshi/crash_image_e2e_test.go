//go:build e2e

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/failure"
)

// TestE2EKilledBootWithAnImage is TestE2EKilledBoot for a release that is mounted. The
// boot after the kill ends with one mount and one loop device, whatever was there.
func TestE2EKilledBootWithAnImage(t *testing.T) {
	l := newLab(t)
	trees := map[string]string{"1": l.tree("1", 64<<10)}
	l.publisher("publish", "--version", "1", "--image", "erofs", trees["1"])
	l.promote("1")
	all := l.mounting().mutations("boot")
	t.Logf("a boot makes %d mutating calls", len(all))
	calls := map[string]bool{}
	for _, m := range all {
		calls[m.call] = true
	}
	if !calls["mount"] || !calls["LOOP_CONFIGURE"] {
		t.Errorf("a boot makes the calls %v, want those that mount among them", calls)
	}
	for n := range all {
		t.Run(fmt.Sprintf("%d", n), func(t *testing.T) {
			t.Parallel()
			b := l.on(t).mounting()
			b.killAt(n, "boot")
			b.exits(0, "boot")
			b.told("CONTINUE")
			b.converged(trees, "1")
			b.mounts("1")
			if n == len(all)-1 { // and after a reboot, which leaves the link and no mount
				b.unmountAll()
				b.exits(0, "boot")
				b.converged(trees, "1")
				b.mounts("1")
			}
		})
	}
}

// TestE2EKilledSyncWithAnImage kills a sync from a mounted release to another one, of
// two that are kept, before each of its mutating calls.
func TestE2EKilledSyncWithAnImage(t *testing.T) {
	l := newLab(t)
	trees := map[string]string{}
	for _, version := range []string{"1", "2", "3"} {
		trees[version] = l.tree(version, 64<<10)
		l.publisher("publish", "--version", version, "--image", "erofs", trees[version])
	}
	live := func(t *testing.T) *box {
		b := l.on(t).mounting()
		for _, channel := range []string{"one", "two", "three"} {
			b.override("20-channel", fmt.Sprintf("channel = %q\nchannels = [\"one\", \"two\", \"three\"]\n", channel))
			if channel != "three" {
				b.exits(0, "sync")
			}
		}
		return b
	}
	for channel, version := range map[string]string{"one": "1", "two": "2", "three": "3"} {
		l.publisher("promote", "--channel", channel, "--version", version)
	}
	all := live(t).mutations("sync")
	t.Logf("a sync makes %d mutating calls", len(all))
	unmounts := 0
	for n, m := range all {
		if m.call == "umount2" {
			unmounts++
		}
		if n%6 != 0 && m.call != "umount2" && m.call != "mount" && m.call != "LOOP_CONFIGURE" && m.call != "renameat" {
			continue // those of a boot are the same
		}
		t.Run(fmt.Sprintf("%d", n), func(t *testing.T) {
			t.Parallel()
			b := live(t)
			b.killAt(n, "sync")
			b.whole(trees)
			b.exits(0, "sync")
			b.converged(trees, "3")
			b.mounts("2", "3")
		})
	}
	if unmounts == 0 {
		t.Error("nothing is unmounted")
	}
}

// TestE2EDiskFullWithAnImage has no room for the next image: the one that runs is
// untouched, and mounted.
func TestE2EDiskFullWithAnImage(t *testing.T) {
	l := newLab(t)
	for channel, version := range map[string]string{"stable": "1", "canary": "2"} {
		noise := map[string]int{"1": 64 << 10, "2": 16 << 20}[version]
		l.publisher("publish", "--version", version, "--image", "erofs", l.tree(version, noise))
		l.publisher("promote", "--channel", channel, "--version", version)
	}
	b := l.mounting()
	b.mount("opt", "size=40m")
	b.exits(0, "boot")
	b.told("CONTINUE")
	b.instance.SetTag("koboshi:channel", "canary")
	r := b.run("sync")
	r.want(t, failure.Disk)
	r.says(t, "bytes needed", "df -h and df -i")
	b.serves("1")
	b.verifies("1")
	b.mounts("1")
	b.tidy()
	remount(0, "size=100m")(b)
	b.exits(0, "sync")
	b.serves("2")
	b.mounts("1", "2")
}

// mounting is an instance that takes images and keeps two releases.
func (l *lab) mounting() *box {
	l.Helper()
	b := l.launch(autoscaling.LaunchOptions{})
	b.override("30-images", "[install]\nimages = \"auto\"\nkeep = 2\n")
	b.Cleanup(b.unmountAll)
	return b
}

func (b *box) unmountAll() {
	b.Helper()
	stopApp(b.pid)
	for _, dir := range b.trees() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			b.Error(err)
		}
	}
}

func (b *box) trees() []string {
	b.Helper()
	var all []string
	for _, dir := range []string{"releases", ".staging"} {
		found, err := filepath.Glob(b.path("opt", dir, "*", "tree"))
		must(b.T, err)
		all = append(all, found...)
	}
	return all
}

// mounts asserts that the images of these versions are mounted, once each, and that
// neither another mount, loop device nor a descriptor of the app's is left of any.
func (b *box) mounts(versions ...string) {
	b.Helper()
	want := strings.Join(versions, " ")
	table, err := os.ReadFile("/proc/self/mounts")
	must(b.T, err)
	var mounted []string
	for line := range strings.Lines(string(table)) {
		if _, rest, ok := strings.Cut(line, " "+b.path("opt")+"/"); ok {
			mounted = append(mounted, strings.TrimPrefix(rest, "releases/")[:1])
		}
	}
	if got := strings.Join(mounted, " "); got != want {
		b.Errorf("mounted are %q, want %q", got, want)
	}
	var backed []string
	b.until("the loop devices of what was unmounted are free", func() bool {
		backed = b.loops()
		return len(backed) <= len(versions)
	})
	if len(backed) != len(versions) {
		b.Errorf("the loop devices have %q, want one for each of %q", backed, want)
	}
	pid, err := os.ReadFile(b.pid)
	must(b.T, err)
	open, err := filepath.Glob("/proc/" + strings.TrimSpace(string(pid)) + "/fd/*")
	must(b.T, err)
	for _, name := range open {
		if file, err := os.Readlink(name); err == nil && (strings.HasSuffix(file, "/meta/image") || strings.HasPrefix(file, "/dev/loop")) {
			b.Errorf("the app has %s open", file)
		}
	}
}

// loops is the files of loop devices beneath the root, also removed ones.
func (b *box) loops() (files []string) {
	b.Helper()
	names, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	must(b.T, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV) {
			b.Error(err) // those are of a device that went away meanwhile: unnamed, opened, or read
		}
		if strings.HasPrefix(string(data), b.path("opt")) {
			files = append(files, strings.TrimSpace(string(data)))
		}
	}
	return files
}
