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

// That another run has the lock, or that the unit was stopped, is no failure of a look;
// it is not begun while a boot brings the app up.
func TestSyncUnit(t *testing.T) {
	unit := settings(t, SyncUnit)
	if got := unit["SuccessExitStatus"]; !slices.Equal(got, []string{"23", "130"}) {
		t.Errorf("SuccessExitStatus=%v", got)
	}
	if !slices.Contains(unit["After"], BootUnit) || !slices.Equal(unit["NotifyAccess"], []string{"main"}) {
		t.Errorf("After=%v NotifyAccess=%v", unit["After"], unit["NotifyAccess"])
	}
	if got := settings(t, SyncTimer)["WantedBy"]; !slices.Equal(got, []string{"timers.target"}) {
		t.Errorf("WantedBy=%v", got)
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

// A template is the unit next to it, for another configuration.
func TestTemplates(t *testing.T) {
	read := func(name string) []string {
		text, err := fs.ReadFile(Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(text), "\n")
	}
	files, err := fs.ReadDir(Units(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(file.Name(), "@.") {
			continue
		}
		first, template := read(file.Name()), read(UnitOf(file.Name(), ""))
		if len(first) != len(template) {
			t.Errorf("%s has %d lines, its template %d", file.Name(), len(first), len(template))
			continue
		}
		for i, line := range template {
			if command, ok := strings.CutSuffix(line, " --config /etc/koboshi/%i.toml"); ok {
				line = command
			} else if strings.Contains(line, "%i") {
				continue
			}
			if line != first[i] {
				t.Errorf("the template of %s has %q, not %q", file.Name(), template[i], first[i])
			}
		}
	}
	if got := settings(t, UnitOf(BootUnit, ""))["ExecStart"]; !slices.Equal(got, []string{"/usr/local/bin/koboshi", "boot", "--config", "/etc/koboshi/%i.toml"}) {
		t.Errorf("ExecStart=%v", got)
	}
}

func TestUnitNames(t *testing.T) {
	for _, tt := range []struct{ unit, app, want, template string }{
		{BootUnit, FirstApp, "koboshi-boot.service", "koboshi-boot.service"},
		{BootUnit, "green-2", "koboshi-boot@green-2.service", "koboshi-boot@.service"},
		{"x.timer", "green", "x@green.timer", "x@.timer"},
	} {
		if got, template := UnitOf(tt.unit, tt.app), TemplateOf(tt.unit, tt.app); got != tt.want || template != tt.template {
			t.Errorf("%s of %s is %s, made from %s", tt.unit, tt.app, got, template)
		}
		if app, ok := AppOf(tt.unit, tt.want); !ok || app != tt.app {
			t.Errorf("%s is of %s (%t), want %s", tt.want, app, ok, tt.app)
		}
	}
	for _, other := range []string{"koboshi-boot@.service", "koboshi-boot@green.timer", "koboshi-sync@green.service", "koboshi-boot", ""} {
		if app, ok := AppOf(BootUnit, other); ok {
			t.Errorf("%s is of %s", other, app)
		}
	}
}
