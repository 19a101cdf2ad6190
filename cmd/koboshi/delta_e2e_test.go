//go:build e2e

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"koboshi/agent/awstest/autoscaling"
)

// TestE2EDelta brings a live machine from version 1 to 2 on real filesystems:
// blocks are shared where the filesystem can, elsewhere files are copied. A change
// of one release does not change the other.
func TestE2EDelta(t *testing.T) {
	l := newLab(t)
	l.release("1", noise)
	l.publisher("publish", "--version", "2", "--base", "1", l.tree("2", noise))
	l.publisher("promote", "--channel", "canary", "--version", "2")
	for name, test := range map[string]struct {
		mkfs   []string
		shared bool
	}{
		"xfs":  {[]string{needs(t, "mkfs.xfs", "xfsprogs"), "-q", "-m", "reflink=1"}, true},
		"ext4": {[]string{needs(t, "mkfs.ext4", "e2fsprogs"), "-q", "-F"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := l.on(t).launch(autoscaling.LaunchOptions{})
			b.format("opt", name, test.mkfs)
			b.exits(0, "boot")
			b.instance.SetTag("koboshi:channel", "canary")
			before := b.used()
			if out := b.exits(0, "sync", "--json"); !strings.Contains(out, `"name": "delta"`) || strings.Contains(out, `"name": "install"`) {
				t.Errorf("the report: %s", out)
			}
			if grown := b.used() - before; test.shared != (grown < noise/2) {
				t.Errorf("%d bytes more are in use", grown)
			}
			b.verifies("2")
			b.tidy()
			base, err := filepath.Glob(b.path("opt", "releases", "1-*", "tree", "noise"))
			must(t, err)
			must(t, os.WriteFile(base[0], []byte("altered later"), 0o644))
			b.verifies("2")
		})
	}
}

// format puts a filesystem of its own beneath a directory of the box.
func (b *box) format(name, kind string, mkfs []string) {
	b.Helper()
	image := b.path(name + ".img")
	must(b.T, os.WriteFile(image, nil, 0o600))
	must(b.T, os.Truncate(image, 512<<20))
	must(b.T, os.MkdirAll(b.path(name), 0o755))
	for _, args := range [][]string{append(mkfs[:len(mkfs):len(mkfs)], image), {"mount", "-t", kind, "-o", "loop", image, b.path(name)}} {
		if out, err := exec.CommandContext(b.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			b.Fatalf("%s, for which this test must be root: %v: %s", args[0], err, out)
		}
	}
	b.Cleanup(func() {
		if err := unix.Unmount(b.path(name), unix.MNT_DETACH); err != nil {
			b.Errorf("unmount: %v", err)
		}
	})
}

// used is how many bytes of the releases' filesystem are taken.
func (b *box) used() int64 {
	b.Helper()
	var fsys unix.Statfs_t
	must(b.T, unix.Statfs(b.path("opt"), &fsys))
	return int64(fsys.Blocks-fsys.Bfree) * fsys.Bsize
}
