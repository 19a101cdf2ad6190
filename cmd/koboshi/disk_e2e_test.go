//go:build e2e

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
	"koboshi/agent/awstest/faults"
	"koboshi/agent/failure"
)

// TestE2EDisk makes the disk of a live machine fail during a sync from version 1
// to 2. The sync fails with 18, version 1 is untouched and keeps running, and once
// the disk works again the next sync succeeds.
func TestE2EDisk(t *testing.T) {
	l := newLab(t)
	trees := l.twoVersions()
	for _, test := range []struct {
		name    string
		options string     // of the tmpfs
		before  func(*box) // the sync
		amidst  func(*box) // while the artifact comes in
		says    string
		hint    string
		cure    func(*box)
	}{
		{name: "too small", options: "size=40m", says: "bytes needed", cure: remount(0, "size=200m")},
		{name: "full", options: "size=80m", amidst: fillBytes, says: "no space left on device", cure: empty},
		{name: "too few inodes", options: "nr_inodes=1200", says: "inodes needed", cure: remount(0, "nr_inodes=5000")},
		{name: "inodes run out", options: "nr_inodes=2000", amidst: fillInodes, says: "no space left on device", cure: empty},
		{name: "read-only", before: remount(unix.MS_RDONLY, ""), says: "read-only file system", hint: "mounted read-only", cure: remount(0, "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := l.on(t).liveOn(test.options)
			if test.before != nil {
				test.before(b)
			}
			var r result
			if test.amidst != nil {
				r = b.syncAmidst(test.amidst)
			} else {
				r = b.run("sync")
			}
			r.want(t, failure.Disk)
			r.says(t, test.says, cmp.Or(test.hint, "df -h and df -i"))
			b.untouched(trees)
			if n := len(b.calls("s3", "releases/2/web-")); n > 0 && strings.HasSuffix(test.says, "needed") {
				t.Errorf("%d requests for what would not fit", n)
			}
			test.cure(b)
			b.exits(0, "sync")
			b.converged(trees, "2")
		})
	}
}

// TestE2EDiskAtLaunch has nothing to fall back to.
func TestE2EDiskAtLaunch(t *testing.T) {
	l := newLab(t)
	l.release("1", 0)
	for _, test := range []struct{ name, dir, hint string }{
		{"where releases go", "opt", "df -h and df -i of install.root"},
		{"where the state goes", "state", "check space"},
		{"where the environment goes", "run", "check space"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := l.on(t).launch(autoscaling.LaunchOptions{})
			b.mount(test.dir, "size=64k")
			fill(t, b.path(test.dir, "ballast"))
			r := b.run("boot")
			r.want(t, failure.Disk)
			r.says(t, "no space", test.hint)
			b.told("ABANDON")
			b.serves("")
		})
	}
}

// TestE2EInputOutputError makes the calls fail that write a release to the disk. A
// call that has failed is not repeated, and its release never becomes current.
func TestE2EInputOutputError(t *testing.T) {
	strace := needs(t, "strace", "strace")
	l := newLab(t)
	trees := l.twoVersions()
	for _, test := range []struct {
		name, call, path string
	}{
		{"the tree", "syncfs", ""},
		{"any file", "fsync", ""}, // the sequence is the first
		{"the directory of releases", "fsync", "opt/releases"},
		{"the directory of the links", "fsync", "opt"},
		{"the state", "fsync", "state"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := l.on(t).liveOn("")
			log := b.path("strace.log")
			args := []string{"-f", "-b", "execve", "-qq", "-y", "-o", log, "-e", "trace=" + test.call, "-e", "inject=" + test.call + ":error=EIO"}
			if test.path != "" {
				args = append(args, "-P", b.path(test.path))
			}
			args = append(append(args, b.koboshi), b.args("sync")...)
			r := runCommand(t, b.world.dir, b.env(), strace, args...)
			r.want(t, failure.Disk)
			r.says(t, "input/output error", "the disk fails")
			b.noneTwice(log)
			b.untouched(trees)
			b.exits(0, "sync")
			b.converged(trees, "2")
		})
	}
}

// TestE2EInputOutputErrorAtLaunch makes the calls fail that bring the first release to
// the disk, while the app runs from it: nothing counts, the app is stopped, and the
// launch is abandoned.
func TestE2EInputOutputErrorAtLaunch(t *testing.T) {
	strace := needs(t, "strace", "strace")
	l := newLab(t)
	trees := map[string]string{"1": l.release("1", 64<<10)}
	for _, test := range []struct {
		name, call, path string
	}{
		{"the tree", "syncfs", ""},
		{"the directory of the links", "fsync", "opt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := l.on(t).launch(autoscaling.LaunchOptions{})
			b.override("20-stop", fmt.Sprintf("service.stop = [\"testapp\", \"stop\", %q, %q]\n", b.addr, b.pid))
			args := []string{"-f", "-b", "execve", "-qq", "-y", "-o", b.path("strace.log"), "-e", "trace=" + test.call, "-e", "inject=" + test.call + ":error=EIO"}
			if test.path != "" {
				args = append(args, "-P", b.path(test.path))
			}
			args = append(append(args, b.koboshi), b.args("boot")...)
			r := runCommand(t, b.world.dir, b.env(), strace, args...)
			r.want(t, failure.Disk)
			r.says(t, "input/output error", "the disk fails")
			b.told("ABANDON")
			b.serves("")
			if current := b.current(); current != "" {
				t.Errorf("current is %s", current)
			}
			b.whole(trees)
		})
	}
}

// twoVersions makes version 1 the stable one and 2 the canary, which is larger
// and has more files.
func (l *lab) twoVersions() map[string]string {
	l.Helper()
	trees := map[string]string{"1": l.release("1", 64<<10), "2": l.tree("2", noise)}
	must(l.T, os.Mkdir(filepath.Join(trees["2"], "small"), 0o755))
	for n := range 300 {
		must(l.T, os.WriteFile(filepath.Join(trees["2"], "small", fmt.Sprint(n)), nil, 0o644))
	}
	l.publish("2", trees["2"])
	l.publisher("promote", "--channel", "canary", "--version", "2")
	return trees
}

// liveOn is a machine that runs version 1 from a tmpfs, and whose channel now
// points to version 2.
func (l *lab) liveOn(options string) *box {
	l.Helper()
	b := l.launch(autoscaling.LaunchOptions{})
	b.mount("opt", options)
	b.exits(0, "boot")
	b.told("CONTINUE")
	b.instance.SetTag("koboshi:channel", "canary")
	return b
}

// mount puts a tmpfs of its own beneath a directory of the box.
func (b *box) mount(name, options string) {
	b.Helper()
	must(b.T, os.MkdirAll(b.path(name), 0o755))
	if err := unix.Mount("tmpfs", b.path(name), "tmpfs", 0, options); err != nil {
		b.Fatalf("this test mounts a tmpfs, for which it must be root: %v", err)
	}
	b.Cleanup(func() {
		if err := unix.Unmount(b.path(name), unix.MNT_DETACH); err != nil {
			b.Errorf("unmount: %v", err)
		}
	})
}

func remount(flags uintptr, options string) func(*box) {
	return func(b *box) {
		b.Helper()
		must(b.T, unix.Mount("tmpfs", b.path("opt"), "", unix.MS_REMOUNT|flags, options))
	}
}

// syncAmidst changes the disk when a part of the artifact has arrived and is being
// unpacked.
func (b *box) syncAmidst(do func(*box)) result {
	b.Helper()
	// With little memory there are two slots, four connections each: the first
	// eight requests are those of the first two chunks.
	recovers := b.suffers(on(faults.Fault{Hang: true, Skip: 8}))
	sync := startCommand(b.T, b.world.dir, append(b.env(), "GOMEMLIMIT=64MiB"), b.koboshi, b.args("sync")...)
	b.await("s3", artifactPath, len(b.artifactCalls())+1)
	b.until("something is staged", func() bool {
		staged, err := filepath.Glob(b.path("opt", ".staging", "*", "tree", "noise"))
		return err == nil && len(staged) > 0
	})
	do(b)
	recovers()
	return sync.wait()
}

// until polls for a condition that cannot be waited for.
func (l *lab) until(what string, is func() bool) {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), patience) // cleanups wait, too
	defer cancel()
	for !is() {
		if ctx.Err() != nil {
			l.Fatalf("waiting until %s: %v", what, ctx.Err())
		}
		pass(time.Millisecond)
	}
}

func fillBytes(b *box) { fill(b.T, b.path("opt", "ballast")) }

// fill writes a file until there is no space left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	must(t, f.Close())
}

// fillInodes makes files until there is no inode left.
func fillInodes(b *box) {
	b.Helper()
	must(b.T, os.Mkdir(b.path("opt", "ballast"), 0o755))
	var err error
	for n := 0; err == nil; n++ {
		err = os.WriteFile(b.path("opt", "ballast", fmt.Sprint(n)), nil, 0o644)
	}
	if !errors.Is(err, unix.ENOSPC) {
		b.Error(err)
	}
}

func empty(b *box) {
	b.Helper()
	must(b.T, os.RemoveAll(b.path("opt", "ballast")))
}

// untouched asserts that version 1 runs as if nothing had happened.
func (b *box) untouched(trees map[string]string) {
	b.Helper()
	if !strings.HasPrefix(b.current(), "1-") {
		b.Errorf("current is %q", b.current())
	}
	b.whole(trees)
	b.serves("1")
	for _, a := range b.instance.Actions() {
		if a.Result != autoscaling.Continue {
			b.Errorf("hook %s: %s", a.Hook, a.Result)
		}
	}
}

// noneTwice asserts from a log of strace that no descriptor was synced again
// once that had failed: the kernel would report success.
func (b *box) noneTwice(log string) {
	b.Helper()
	text, err := os.ReadFile(log)
	must(b.T, err)
	if !strings.Contains(string(text), "(INJECTED)") {
		b.Fatalf("nothing was injected:\n%s", text)
	}
	failed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		_, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call, _, _ = strings.Cut(call, ")")
		if failed[call] && strings.Contains(call, "/.tmp-") {
			b.Errorf("once more: %s", line)
		}
		failed[call] = true
	}
}
