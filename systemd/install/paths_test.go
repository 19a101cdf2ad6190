package install

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"koboshi/systemd"
)

func TestPathsDropIn(t *testing.T) {
	const head = "# Written by koboshi install: the paths of the configuration.\n[Unit]\n"
	for _, tt := range []struct {
		paths []string
		want  string
	}{
		{[]string{"/opt/koboshi", "/var/lib/koboshi", "/run/koboshi"}, ""},
		{[]string{"/opt/koboshi/web", "/var/lib/koboshi", "/run/koboshi"}, head + "RequiresMountsFor=\"/opt/koboshi/web\"\n"},
		{[]string{"/opt/koboshi-2", "/run/koboshi/web"}, head + "RequiresMountsFor=\"/opt/koboshi-2\"\nRequiresMountsFor=\"/run/koboshi/web\"\n" +
			"[Service]\nExecStartPre=+:/usr/bin/mkdir -p \"/opt/koboshi-2\"\nReadWritePaths=\"-/opt/koboshi-2\"\n"},
		{[]string{"/srv/a", "/srv/b"}, head + "RequiresMountsFor=\"/srv/a\"\nRequiresMountsFor=\"/srv/b\"\n[Service]\n" +
			"ExecStartPre=+:/usr/bin/mkdir -p \"/srv/a\"\nReadWritePaths=\"-/srv/a\"\n" +
			"ExecStartPre=+:/usr/bin/mkdir -p \"/srv/b\"\nReadWritePaths=\"-/srv/b\"\n"},
		{[]string{"/srv/my \"100%\" app\n[Service]"}, head + `RequiresMountsFor="/srv/my \"100%%\" app\n[Service]"` + "\n[Service]\n" +
			`ExecStartPre=+:/usr/bin/mkdir -p "/srv/my \"100%%\" app\n[Service]"` + "\n" +
			`ReadWritePaths="-/srv/my \"100%%\" app\n[Service]"` + "\n"},
	} {
		if got := pathsDropIn(tt.paths...); got != tt.want {
			t.Errorf("%q:\n%s\nwant\n%s", tt.paths, got, tt.want)
		}
	}
}

// What the drop-in leaves out, the unit has to have.
func TestBootUnitOwnsItsPaths(t *testing.T) {
	text, err := fs.ReadFile(systemd.Units(), systemd.BootUnit)
	if err != nil {
		t.Fatal(err)
	}
	var got, mounts []string
	for line := range strings.Lines(string(text)) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
		case "ReadWritePaths":
			got = append(got, strings.TrimPrefix(value, "-"))
		case "RuntimeDirectory":
			got = append(got, "/run/"+value)
		case "StateDirectory":
			got = append(got, "/var/lib/"+value)
		case "RequiresMountsFor":
			mounts = strings.Fields(value)
		}
	}
	slices.Sort(got)
	slices.Sort(mounts)
	if !slices.Equal(got, ownPaths) {
		t.Errorf("the unit writes to %q, want %q", got, ownPaths)
	}
	if !slices.Equal(mounts, ownPaths) {
		t.Errorf("the unit waits for the mounts of %q, want %q", mounts, ownPaths)
	}
}

func TestWantedBy(t *testing.T) {
	for app, unit := range map[string]string{systemd.FirstApp: "koboshi-boot.service", "green": "koboshi-boot@green.service"} {
		want := []string{"/etc/systemd/system/multi-user.target.wants/" + unit}
		if links, err := wantedBy(systemd.BootUnit, app); err != nil || !slices.Equal(links, want) {
			t.Errorf("the unit of %s is enabled by %q (%v), want %q", app, links, err, want)
		}
	}
	if _, err := wantedBy("../units.go", systemd.FirstApp); err == nil {
		t.Error("a file that is no unit can be enabled")
	}
}
