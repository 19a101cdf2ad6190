package systemd

import (
	"slices"
	"testing"
)

func TestPathsDropIn(t *testing.T) {
	const head = "# Written by koboshi install: the paths of the configuration.\n[Service]\n"
	for _, tt := range []struct {
		paths []string
		want  string
	}{
		{[]string{"/opt/koboshi/web", "/var/lib/koboshi/web", "/run/koboshi/web"}, ""},
		{[]string{"/opt/koboshi"}, ""},
		{[]string{"/opt/koboshi-2", "/run/koboshi/web"}, head + "ExecStartPre=+:/usr/bin/mkdir -p \"/opt/koboshi-2\"\nReadWritePaths=\"-/opt/koboshi-2\"\n"},
		{[]string{"/srv/a", "/srv/b"}, head +
			"ExecStartPre=+:/usr/bin/mkdir -p \"/srv/a\"\nReadWritePaths=\"-/srv/a\"\n" +
			"ExecStartPre=+:/usr/bin/mkdir -p \"/srv/b\"\nReadWritePaths=\"-/srv/b\"\n"},
		{[]string{"/srv/my \"100%\" app\n[Service]"}, head +
			`ExecStartPre=+:/usr/bin/mkdir -p "/srv/my \"100%%\" app\n[Service]"` + "\n" +
			`ReadWritePaths="-/srv/my \"100%%\" app\n[Service]"` + "\n"},
	} {
		if got := PathsDropIn(tt.paths...); got != tt.want {
			t.Errorf("%q:\n%s\nwant\n%s", tt.paths, got, tt.want)
		}
	}
}

// What the drop-in leaves out, the unit has to have.
func TestBootUnitOwnsItsPaths(t *testing.T) {
	unit := settings(t, BootUnit)
	got := slices.Sorted(slices.Values([]string{
		unit["ReadWritePaths"][0], "/run/" + unit["RuntimeDirectory"][0], "/var/lib/" + unit["StateDirectory"][0],
	}))
	want := slices.Clone(ownPaths)
	want[0] = "-" + want[0]
	if !slices.Equal(got, want) {
		t.Errorf("the unit writes to %q, want %q", got, want)
	}
}

func TestWantsDirs(t *testing.T) {
	if dirs, err := WantsDirs(BootUnit); err != nil || !slices.Equal(dirs, []string{"multi-user.target.wants"}) {
		t.Errorf("%s is enabled in %q (%v)", BootUnit, dirs, err)
	}
	if _, err := WantsDirs("../enable.go"); err == nil {
		t.Error("something that is no unit can be enabled")
	}
}
