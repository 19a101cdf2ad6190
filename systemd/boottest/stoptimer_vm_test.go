//go:build boottest && vm

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// moveClock arms a stop for an hour from now, sets the clock back and then past that
// moment, and looks at the unit each time.
const moveClock = `systemctl start stubborn.service
at=$(($(date +%s)+3600))
look() { echo "$1: $(stopper armed app | sed s/$at/armed/), $(systemctl is-active stubborn.service)" >>/var/lab/looks; }
stopper arm app $at stubborn.service
look armed
date --set=@$((at-7200))
sleep 5
look back
date --set=@$((at+7200))
for i in $(seq 100); do systemctl is-active --quiet stubborn.service || break; sleep 0.2; done
look past
systemctl reset-failed
systemctl start stubborn.service
sleep 5
look again
stopper arm app $at stubborn.service || look refused
systemctl --no-block poweroff
`

// TestVMStopTimer moves the clock of a machine, as it cannot be in a container: a stop
// comes at its moment by the clock on the wall, also where that jumps over it.
func TestVMStopTimer(t *testing.T) {
	t.Parallel()
	l := newLab(t, vmImage().with(stubborn).with(files{
		wants + "observer.service": "", wants + "koboshi-boot.service": "",
		"/usr/local/bin/move-clock":              moveClock,
		"/etc/systemd/system/move-clock.service": "[Unit]\nAfter=multi-user.target\n[Service]\nExecStart=/bin/sh /usr/local/bin/move-clock\n",
		wants + "move-clock.service":             "-> /etc/systemd/system/move-clock.service",
	}), kernel())
	l.copyIn("stopper", "/usr/local/bin/stopper", 0o755)
	l.launch("")
	disk := l.makeDisk()
	must(t, l.startVM(disk).Wait())
	looks, err := os.ReadFile(filepath.Join(l.mountDisk(disk), "var/lab/looks"))
	must(t, err)
	want := "armed: armed, active\nback: armed, active\npast: none, failed\nagain: none, active\nrefused: none, active\n"
	same(t, "what was seen", strings.TrimLeft(string(looks), "\n"), want)
}
