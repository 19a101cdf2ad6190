//go:build boottest

package boottest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/report"
)

// atActivation is an image that runs a command over and over, from the moment when
// koboshi makes the release current, and counts the runs.
func atActivation(times int, command string) files {
	script := fmt.Sprintf("until [ -e /opt/koboshi/web/current ]; do sleep 0.01; done\n"+
		"for i in $(seq %d); do %s; echo $i >/var/lab/done; done", times, command)
	return files{
		"/var/lab/upgrade.sh":                 script,
		"/etc/systemd/system/upgrade.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh /var/lab/upgrade.sh\n",
		wants + "upgrade.service":             "-> /etc/systemd/system/upgrade.service",
		dropIn:                                "[health]\nbake = \"10s\"\n",
	}
}

func (l *lab) wantDone(times int) {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.root, "var/lab/done"))
	must(l.T, err)
	same(l.T, "how often it was done", strings.TrimSpace(string(text)), fmt.Sprint(times))
}

// often is how often systemd is re-executed in a boot: as often as fits well into
// the time of a scenario.
const often = 50

// systemd is re-executed again and again while koboshi starts the app and watches
// it, as the upgrade of its package does once.
func TestSystemdReexecuted(t *testing.T) {
	t.Parallel()
	l, _ := scenario{image: atActivation(often, "systemctl daemon-reexec; sleep 0.1"), channel: "1.0.0", want: inService(report.Fresh, "1.0.0")}.run(t)
	l.wantDone(often)
}

func TestBusRestarted(t *testing.T) {
	t.Parallel()
	l, _ := scenario{image: atActivation(1, "sleep 1; systemctl restart dbus.service"), channel: "1.0.0", want: inService(report.Fresh, "1.0.0")}.run(t)
	l.wantDone(1)
}

// One re-execution, just while a live sync starts the app.
func TestSyncWhileSystemdIsReexecuted(t *testing.T) {
	t.Parallel()
	c := live(t, nil)
	for _, version := range []string{"2.0.0", "1.0.0", "2.0.0", "1.0.0"} {
		c.promote(version)
		c.must("sh", "-c", `koboshi sync & us=$!
			until readlink /opt/koboshi/web/current | grep -q /`+version+`- || ! kill -0 $us; do :; done
			systemctl daemon-reexec; wait $us`)
		same(t, "the running version", c.version(), version)
	}
	c.end("exit")
}
