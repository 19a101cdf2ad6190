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

// Which exit codes do not start it over is held against the table of failures,
// in agent/failure.
func TestBootRestarts(t *testing.T) {
	if got := settings(t, BootUnit)["Restart"]; !slices.Equal(got, []string{"on-failure"}) {
		t.Errorf("Restart=%v", got)
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
