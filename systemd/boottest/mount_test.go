//go:build boottest

package boottest

import (
	"os"
	"path/filepath"
	"testing"

	"koboshi/agent/report"
)

// lateVolume mounts a volume some seconds after the boot would have needed it,
// as nofail in fstab allows.
func lateVolume(where, unit string) files {
	return files{
		"/data/.keep":                      "\n",
		where + "/.under":                  "\n",
		"/etc/systemd/system/" + unit:      "[Unit]\nDefaultDependencies=no\nAfter=slow.service\nWants=slow.service\n[Mount]\nWhat=/data\nWhere=" + where + "\nType=none\nOptions=bind\n",
		"/etc/systemd/system/slow.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sleep 6\n",
		wants + unit:                       "-> /etc/systemd/system/" + unit,
	}
}

func TestVolumeMountedLate(t *testing.T) {
	t.Parallel()
	l, _ := scenario{image: lateVolume("/opt/koboshi", "opt-koboshi.mount"), channel: "1.0.0", want: inService(report.Fresh, "1.0.0")}.run(t)
	l.wantOnVolume("web/current")
}

// koboshi install writes the paths of the configuration into the unit.
func TestOwnVolumeMountedLate(t *testing.T) {
	t.Parallel()
	l, _ := scenario{
		image:   lateVolume("/opt/koboshi/web", "opt-koboshi-web.mount").with(files{bootUnit: "", wants + "koboshi-boot.service": ""}),
		prepare: func(l *lab) { must(t, built.koboshi(nil, "install", "--root", l.root)) },
		channel: "1.0.0", want: inService(report.Fresh, "1.0.0"),
	}.run(t)
	l.wantOnVolume("current")
}

// wantOnVolume expects a link on the volume, and nothing under its mount point.
func (l *lab) wantOnVolume(name string) {
	l.Helper()
	if _, err := os.Lstat(filepath.Join(l.root, "data", name)); err != nil {
		l.Errorf("nothing was installed on the volume: %v", err)
	}
}
