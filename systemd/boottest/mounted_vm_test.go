//go:build boottest && vm

package boottest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"koboshi/agent/awstest/autoscaling"
)

// mountedSteps is what an operator does on the machine at its first boot, until the power is cut,
// at the second, after which no image is mounted any more, and at the third.
const mountedSteps = `say() { echo "lab: $*" | tee -a /var/lab/steps >/dev/ttyS0; }
mounted() { sed -n 's|^[^ ]* /opt/koboshi/web/releases/\([^-]*\)-[^/]*/tree \([^ ]*\) .*|\1 \2|p' /proc/mounts | sort | tr '\n' ' '; }
runs() { say "$1: $(cat /opt/koboshi/web/current/VERSION), mounted $(mounted)"; }
doctor() { koboshi doctor 2>&1 | grep -E 'mounts' | while read -r line; do say "$line"; done; }
until [ "$(systemctl is-active koboshi-boot.service)" = active ]; do sleep 1; done
echo boot >>/var/lab/boots
case $(wc -l </var/lab/boots) in
1)
	runs launched; doctor
	until [ "$(readlink /opt/koboshi/web/current | grep -c /4.0.0-)" = 1 ]; do koboshi sync --wait; sleep 1; done
	runs synced
	koboshi rollback --reason "checkout is slow"
	runs "rolled back"
	sync; say "cut the power"; sleep infinity ;;
2)
	runs "after a power cut"
	koboshi unhold
	echo "blacklist erofs" >/etc/modprobe.d/hardened.conf
	rm /lib/modules/*/kernel/fs/squashfs/squashfs.ko; depmod
	sync; systemctl --no-block poweroff ;;
3) # the unit is active before the tree is fetched
	until [ -s /opt/koboshi/web/current/VERSION ]; do sleep 1; done
	runs "no image"; doctor
	sync; systemctl --no-block poweroff ;;
esac
`

// TestVMMounted is a machine whose kernel has erofs, squashfs and loop as modules: a
// launch with an image, an update, a rollback, a power cut, and a machine that was hardened
// since: one module is blacklisted and the other one gone.
func TestVMMounted(t *testing.T) {
	t.Parallel()
	l := newLab(t, vmImage().with(notObserved).with(files{
		dropIn:                              "[install]\nimages = \"auto\"\nkeep = 2\n[health]\ntimeout = \"1m\"\n",
		"/usr/local/bin/steps":              mountedSteps,
		"/var/lab/.keep":                    "\n",
		"/etc/systemd/system/steps.service": "[Service]\nEnvironment=AWS_ENDPOINT_URL=http://" + endpoint + "\nExecStart=/bin/sh /usr/local/bin/steps\n",
		wants + "steps.service":             "-> /etc/systemd/system/steps.service",
	}), kernel())
	l.lifetime = 4 * vmLimit
	l.publishWith("3.0.0", nil, "--image", "erofs")
	l.publishWith("4.0.0", nil, "--image", "squashfs")
	l.promote("3.0.0")
	l.launch("")
	disk := l.makeDisk()
	vm := l.startVM(disk)
	l.until(l.lifetime, "the instance is in service", func() bool { return l.instance.State() == autoscaling.InService })
	l.promote("4.0.0")
	l.until(l.lifetime, "all is done", func() bool { return strings.Contains(l.console(), "lab: cut the power") })
	must(t, vm.Process.Kill())
	_ = vm.Wait() // it was killed
	must(t, l.startVM(disk).Wait())
	must(t, l.startVM(disk).Wait())
	steps, err := os.ReadFile(filepath.Join(l.mountDisk(disk), "var/lab/steps"))
	must(t, err)
	t.Logf("%s", steps)
	for _, want := range []string{
		"launched: 3.0.0, mounted 3.0.0 erofs ",
		"ok    mounts",
		"synced: 4.0.0, mounted 3.0.0 erofs 4.0.0 squashfs ",
		"rolled back: 3.0.0, mounted 3.0.0 erofs 4.0.0 squashfs ",
		"after a power cut: 3.0.0, mounted 3.0.0 erofs ",
		"no image: 4.0.0, mounted \n",
		"the module of erofs is blacklisted in /etc/modprobe.d/hardened.conf",
		"this kernel has no squashfs, and no module of it",
	} {
		if !strings.Contains(string(steps), want) {
			t.Errorf("the machine does not say %q", want)
		}
	}
}
