//go:build boottest

package boottest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/report"
)

const dataMount = "/etc/systemd/system/opt-koboshi.mount"

// onVolume keeps the releases on a volume of their own. With options "bind,ro" it
// comes up read-only, as with errors=remount-ro after an unclean stop.
func onVolume(options string) files {
	return files{
		"/data/.keep": "\n",
		dataMount: "[Unit]\nDefaultDependencies=no\nBefore=local-fs.target\n" +
			"[Mount]\nWhat=/data\nWhere=/opt/koboshi\nType=none\nOptions=" + options + "\n",
		"/etc/systemd/system/local-fs.target.wants/opt-koboshi.mount": "-> " + dataMount,
	}
}

// A launch whose volume cannot be written completes the lifecycle action, and
// leaves a report.
func TestReadOnlyVolume(t *testing.T) {
	t.Parallel()
	scenario{
		image:   onVolume("bind,ro"),
		channel: "1.0.0",
		want:    abandoned("18", "", "disk: open the store: mkdir /opt/koboshi/web: read-only file system"),
	}.run(t)
}

// After a reboot the installed release can be started without any write.
func TestRebootReadOnlyVolume(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(onVolume("bind")))
	l.promote("1.0.0")
	l.launch("")
	inService(report.Fresh, "1.0.0").check(l, l.start("reboot").wait(rebooted))
	onVolume("bind,ro").write(t, l.root)
	again(report.Current).check(l, l.start("exit").wait(0))
}

// The image is a lower layer of the machine's disk. A release in it cannot be
// renamed, and is removed all the same once it is no longer kept.
func TestOverlayRoot(t *testing.T) {
	t.Parallel()
	l := newLab(t, standard().with(notObserved).with(files{dropIn: "[install]\nkeep = 2\n"}))
	l.prebake("1.0.0")
	l.publish("3.0.0")
	l.seal()
	l.launch("")
	c := l.start("exit")
	c.up()
	c.must("koboshi", "sync", "--force")
	same(t, "the running version", c.version(), "1.0.0")
	for _, version := range []string{"2.0.0", "3.0.0"} {
		c.promote(version)
		same(t, "sync", c.reports(0, "sync").Verdict, report.Fresh)
	}
	found, err := filepath.Glob(filepath.Join(l.root, "opt/koboshi/web/releases/*"))
	must(t, err)
	var versions []string
	for _, release := range found {
		version, _, _ := strings.Cut(filepath.Base(release), "-")
		versions = append(versions, version)
	}
	same(t, "what is kept", strings.Join(versions, " "), "2.0.0 3.0.0")
	same(t, "answer", c.end("exit").Answer, "3.0.0 on "+l.instance.ID())
}

// seal makes the machine's disk a read-only layer below a new one.
func (l *lab) seal() {
	l.Helper()
	layer := filepath.Join(l.dir, "sealed")
	if out, err := exec.Command("cp", "-a", filepath.Join(l.dir, "upper"), layer).CombinedOutput(); err != nil {
		l.Fatalf("cp: %v: %s", err, out)
	}
	top := filepath.Join(l.dir, "top")
	must(l.T, os.Mkdir(top, 0o755))
	l.root = overlay(l.T, top, layer+":"+*rootFS)
}
