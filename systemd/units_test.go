package systemd

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func settings(t *testing.T, unit string) map[string][]string {
	t.Helper()
	text, err := fs.ReadFile(Units(), unit)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			found[key] = append(found[key], strings.Fields(value)...)
		}
	}
	return found
}

// A reported exit code must not start the run over. Those that may are 70, and
// how the agent ends when systemd gives up on it: 2 after SIGABRT, 130 after
// SIGTERM.
func TestBootRestartsOnlyWhatWasNotReported(t *testing.T) {
	unit := settings(t, "koboshi-boot.service")
	want := strings.Fields("1 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24")
	if got := unit["RestartPreventExitStatus"]; !slices.Equal(got, want) {
		t.Errorf("RestartPreventExitStatus=%v, want %v", got, want)
	}
	if !slices.Equal(unit["Restart"], []string{"on-failure"}) {
		t.Errorf("Restart=%v", unit["Restart"])
	}
}

// Proxies and endpoints reach the agent through a file that may be missing.
func TestEnvironment(t *testing.T) {
	if got := settings(t, BootUnit)["EnvironmentFile"]; !slices.Equal(got, []string{"-/etc/koboshi/environment"}) {
		t.Errorf("EnvironmentFile=%v", got)
	}
}

// cloud-final.service and multi-user.target would close an ordering cycle.
func TestBootOrder(t *testing.T) {
	unit := settings(t, "koboshi-boot.service")
	if want := []string{"cloud-config.target", "network-online.target"}; !slices.Equal(unit["After"], want) {
		t.Errorf("After=%v, want %v", unit["After"], want)
	}
	if !slices.Contains(unit["Wants"], "network-online.target") {
		t.Errorf("Wants=%v: nothing would bring network-online.target up", unit["Wants"])
	}
}
