//go:build boottest

package boottest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mountHelper is what mount(8) runs for erofs on these machines: a test decides by the
// files in /run how that goes.
const mountHelper = `#!/bin/sh
case $2 in */.staging/*) exec mount --internal-only -t erofs "$@" ;; esac # the sample
if [ -e /run/refuse ]; then echo "permission denied by policy" >&2; exit 32; fi
if [ -e /run/hold ]; then : >/run/held; while [ -e /run/hold ]; do sleep 0.02; done; fi
exec mount --internal-only -t erofs "$@"
`

// fragileLab is a live machine with the tree 1.0.0, on which mounting erofs may fail.
// 3.0.0 and 4.0.0 have images.
func fragileLab(t *testing.T) *container {
	t.Helper()
	l := mountedLab(t, nil)
	must(t, os.WriteFile(filepath.Join(l.root, "usr/sbin/mount.erofs"), []byte(mountHelper), 0o755))
	for _, version := range []string{"3.0.0", "4.0.0"} {
		l.publishWith(version, nil, "--image", "erofs")
	}
	l.promote("1.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	return c
}

// held begins a sync, and returns while systemd mounts its image.
func (c *container) held(version string) {
	c.Helper()
	c.promote(version)
	c.must("sh", "-c", "rm -f /run/held; : >/run/hold")
	c.must("systemd-run", "--quiet", "--collect", "--unit=agent", "--setenv=AWS_ENDPOINT_URL=http://"+endpoint, "koboshi", "sync")
	c.until(settleLimit, "the image is being mounted", func() bool { return c.do("test", "-e", "/run/held").code == 0 })
}

func (c *container) letGo() {
	c.Helper()
	c.must("rm", "/run/hold")
}

// The mount is refused; an agent is killed while systemd mounts, after systemd has executed
// itself anew; the machine dies while it mounts; what is mounted loses its end; and what is
// unmounted is in use. Each time
// what runs is mounted once in the end, and no more loop devices are used than there are mounts.
func TestMountedFaults(t *testing.T) {
	t.Parallel()
	c := fragileLab(t)
	disk := diskOf(t, c.root)
	c.must("touch", "/run/refuse")
	rep := c.syncTo("3.0.0")
	c.wantMounts()
	if said := strings.Join(rep.Warnings, "\n"); !strings.Contains(said, "could not be mounted") || !strings.Contains(said, "journalctl -u 'opt-koboshi-web-releases-3.0.0") {
		t.Errorf("the warnings are %q", said)
	}
	c.says("permission denied by policy", "journalctl", "--boot", "--no-pager")
	c.must("rm", "/run/refuse")
	c.wantLoops(disk, 0)

	c.held("4.0.0")
	c.exits(23, "koboshi", "sync")
	c.must("systemctl", "daemon-reexec")
	c.must("systemctl", "kill", "--signal=KILL", "agent.service")
	same(t, "the running version", c.version(), "3.0.0")
	next := c.begin("koboshi", "sync", "--wait", "--json") // finds a mount that is under way
	c.letGo()
	if e := next(); e.code != 0 {
		t.Errorf("the next sync: %+v", e)
	}
	same(t, "the running version", c.version(), "4.0.0")
	c.wantMounts("4.0.0 erofs")
	c.wantLoops(disk, 1)

	c.publishWith("5.0.0", files{"/ballast": strings.Repeat("never read ", 1<<17)}, "--image", "erofs")
	c.held("5.0.0")
	must(t, c.cmd.Process.Kill()) // the machine
	_ = c.cmd.Wait()              // it was killed
	must(t, os.WriteFile(filepath.Join(c.cgroup, "cgroup.kill"), []byte("1"), 0))
	l := c.lab
	c = l.start("exit")
	c.up()
	c.reports(0, "sync", "--wait") // the boot may still follow the channel
	same(t, "the running version", c.version(), "5.0.0")
	c.wantMounts("4.0.0 erofs", "5.0.0 erofs")
	c.wantLoops(disk, 2)

	// the image loses its end while it is mounted
	c.says("the app is up and healthy", "koboshi", "status")
	c.must("sh", "-c", "truncate --size=8192 /opt/koboshi/web/releases/5.0.0-*/meta/image")
	if e := c.exits(1, "cat", "/opt/koboshi/web/current/ballast"); !strings.Contains(e.err, "Input/output error") {
		t.Errorf("reading what is lost: %+v", e)
	}
	c.says("has 8192 bytes, want", "koboshi", "status")
	c.exits(16, "koboshi", "verify")
	c.reports(0, "sync", "--force", "--wait")
	c.says("the app is up and healthy", "koboshi", "status")
	c.must("cat", "/opt/koboshi/web/current/ballast")
	c.wantMounts("4.0.0 erofs", "5.0.0 erofs")
	c.wantLoops(disk, 2)

	// what is in use is unmounted lazily
	tree := strings.TrimSpace(c.must("sh", "-c", "echo /opt/koboshi/web/releases/4.0.0-*/tree").out)
	c.must("systemd-run", "--quiet", "--unit=user", "sh", "-c", "cd "+tree+" && exec sleep infinity")
	c.until(settleLimit, "it is in use", func() bool { return c.do("sh", "-c", "readlink /proc/*/cwd | grep -qx "+tree).code == 0 })
	rep = c.syncTo("1.0.0")
	c.wantMounts("5.0.0 erofs")
	if said := fmt.Sprint(rep.Warnings); !strings.Contains(said, tree+" was unmounted while a process still uses it") {
		t.Errorf("the warnings are %q", said)
	}
	same(t, "loop devices", loops(t, disk), 2)
	c.must("systemctl", "stop", "user")
	c.wantLoops(disk, 1)
	c.end("exit")
	c.wantLoops(disk, 0)
}

// oftenFlag is few for the sake of time: systemd looks at mounts five times a second.
var oftenFlag = flag.Int("often", 60, "mount and unmount `N` releases in TestMountedOften")

// Many releases leave what three have left: no descriptor, mount, unit or loop device more.
// systemd has to escape much of where they are.
func TestMountedOften(t *testing.T) {
	t.Parallel()
	l := mountedLab(t, nil)
	l.copyIn("mounter", "/usr/local/bin/mounter", 0o755)
	l.promote("1.0.0")
	l.launch("")
	c := l.start("exit")
	c.up()
	disk := diskOf(t, "/proc/"+c.leader()+"/root/run") // in memory: it is not about the disk
	type left struct{ Descriptors, OfPID1, Mounts, Units, Staging int }
	var got struct {
		Before, After left
		Warned        []string
	}
	must(t, json.Unmarshal([]byte(c.must("mounter", `/run/my äpp/-a\x2db"c'd%n $e;#`, strconv.Itoa(*oftenFlag)).out), &got))
	t.Logf("%+v", got)
	want := got.Before
	want.Mounts, want.Units, want.Staging = 2, 2, 0
	if want.OfPID1 = got.After.OfPID1; want.OfPID1 > got.Before.OfPID1+*oftenFlag/4 { // its other work comes and goes
		t.Errorf("PID 1 has %d descriptors, before %d", got.After.OfPID1, got.Before.OfPID1)
	}
	same(t, "what is left", got.After, want)
	same(t, "how many were in use", len(got.Warned), 0)
	c.wantLoops(disk, 2)
	c.end("exit")
	c.wantLoops(disk, 0)
}
