//go:build boottest

package boottest

import (
	"os/exec"
	"strings"
	"testing"
)

// systemd's own check of the whole machine. It exits with 0 despite many
// warnings, so it must print nothing.
func TestVerify(t *testing.T) {
	t.Parallel()
	if said := verify(t, nil); said != "" {
		t.Errorf("systemd-analyze verify says: %s", said)
	}
}

// The check finds the faults that koboshi's unit must not have.
func TestVerifyFindsCycle(t *testing.T) {
	t.Parallel()
	tooLate := strings.Replace(unitFile("koboshi-boot.service"), "After=cloud-config.target", "After=cloud-final.service", 1)
	if said := verify(t, files{bootUnit: tooLate}); !strings.Contains(said, "ordering cycle") {
		t.Errorf("systemd-analyze verify says %q of a unit that waits for cloud-final.service", said)
	}
}

func verify(t *testing.T, image files) (said string) {
	t.Helper()
	l := newLab(t, standard().with(image).with(files{
		wants + "cloud-init.target": "-> /lib/systemd/system/cloud-init.target", // as cloud-init's generator does
	}))
	out, _ := exec.Command("chroot", l.root, "systemd-analyze", "verify", "--man=no",
		"default.target", "koboshi-boot.service").CombinedOutput() // it must be silent whatever its exit code
	return strings.TrimSpace(string(out))
}
