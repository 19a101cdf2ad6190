package systemd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// onDisk gives systemd directories with the files of web.service, all of which it
// has read.
func onDisk(t *testing.T, names ...string) (f *fakeSystemd, etc string) {
	t.Helper()
	root := t.TempDir()
	etc = filepath.Join(root, "etc")
	dirs := []string{etc, filepath.Join(root, "lib")}
	f = one("done")
	f.unitPath = dirs
	var dropIns []string
	for _, name := range names {
		file := filepath.Join(root, name)
		write(t, file)
		if strings.HasSuffix(name, ".conf") {
			dropIns = append(dropIns, file)
		}
	}
	f.set("web.service", "FragmentPath", findFragment(dirs, "web.service"))
	f.set("web.service", "DropInPaths", dropIns)
	f.set("web.service", "NeedDaemonReload", false)
	return f, etc
}

func write(t *testing.T, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("[Service]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRefresh(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, f *fakeSystemd, etc string)
		want   string // calls
	}{
		{"nothing changed", func(*testing.T, *fakeSystemd, string) {}, ""},
		{"a file that systemd sees", func(_ *testing.T, f *fakeSystemd, _ string) { f.set("web.service", "NeedDaemonReload", true) }, "reload"},
		{"a drop-in in a new directory", func(t *testing.T, _ *fakeSystemd, etc string) {
			write(t, filepath.Join(etc, "web.service.d/10-feature.conf"))
		}, "reload"},
		{"a drop-in for every service", func(t *testing.T, _ *fakeSystemd, etc string) {
			write(t, filepath.Join(etc, "service.d/10-feature.conf"))
		}, "reload"},
		{"a drop-in in place of another", func(t *testing.T, _ *fakeSystemd, etc string) {
			write(t, filepath.Join(etc, "web.service.d/50-vendor.conf"))
		}, "reload"},
		{"a drop-in that was removed", func(t *testing.T, _ *fakeSystemd, etc string) {
			if err := os.Remove(filepath.Join(etc, "../lib/web.service.d/50-vendor.conf")); err != nil {
				t.Fatal(err)
			}
		}, "reload"},
		{"a unit in place of the vendor's", func(t *testing.T, _ *fakeSystemd, etc string) {
			write(t, filepath.Join(etc, "web.service"))
		}, "reload"},
		{"what is no drop-in", func(t *testing.T, _ *fakeSystemd, etc string) {
			write(t, filepath.Join(etc, "web.service.d/README"))
			write(t, filepath.Join(etc, "web-eu.service.d/10.conf"))
		}, ""},
		{"a masked drop-in", func(t *testing.T, _ *fakeSystemd, etc string) {
			dir := filepath.Join(etc, "web.service.d")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/dev/null", filepath.Join(dir, "10-off.conf")); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"systemd cannot be asked for its directories", func(_ *testing.T, f *fakeSystemd, _ string) { f.unitPath = nil }, "reload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, etc := onDisk(t, "lib/web.service", "lib/web.service.d/50-vendor.conf")
			tt.change(t, f, etc)
			if err := f.start(t).Refresh(t.Context(), "web.service"); err != nil || f.called() != tt.want {
				t.Errorf("Refresh = %v, calls %q, want %q", err, f.called(), tt.want)
			}
		})
	}
}

// A unit that starts with the app's, and one that is not installed.
func TestRefreshLooksAtCompanions(t *testing.T) {
	for _, property := range []string{"Requires", "BindsTo", "Wants", "TriggeredBy", "Triggers"} {
		f, etc := onDisk(t, "lib/web.service", "lib/web.socket")
		socket := newUnit("done")
		socket.props["FragmentPath"] = filepath.Join(etc, "../lib/web.socket")
		f.units["web.socket"] = socket
		f.set("web.service", property, []string{"web.socket", "none.service", "basic.target"})
		m := f.start(t)
		if err := m.Refresh(t.Context(), "web.service"); err != nil || f.called() != "" {
			t.Errorf("%s: Refresh = %v, calls %q, want none", property, err, f.called())
		}
		write(t, filepath.Join(etc, "web.socket.d/10-port.conf"))
		if err := m.Refresh(t.Context(), "web.service"); err != nil || f.called() != "reload" {
			t.Errorf("%s: Refresh = %v, calls %q, want a reload", property, err, f.called())
		}
	}
	f, etc := onDisk(t, "lib/web.service")
	f.set("web.service", "Wants", []string{"sidecar.service"})
	write(t, filepath.Join(etc, "sidecar.service"))
	if err := f.start(t).Refresh(t.Context(), "web.service"); err != nil || f.called() != "reload" {
		t.Errorf("a unit that came later: Refresh = %v, calls %q, want a reload", err, f.called())
	}
}

// A directory may have two names, as /lib and /usr/lib do, and a unit too.
func TestRefreshFollowsLinks(t *testing.T) {
	f, etc := onDisk(t, "lib/real.service", "lib/web.service.d/50-vendor.conf")
	lib := filepath.Join(filepath.Dir(etc), "lib")
	usr := filepath.Join(filepath.Dir(etc), "usr")
	if err := os.Symlink(lib, usr); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.service", filepath.Join(lib, "web.service")); err != nil {
		t.Fatal(err)
	}
	f.unitPath = []string{etc, usr, lib}
	f.set("web.service", "FragmentPath", filepath.Join(lib, "real.service"))
	if err := f.start(t).Refresh(t.Context(), "web.service"); err != nil || f.called() != "" {
		t.Errorf("Refresh = %v, calls %q, want none", err, f.called())
	}
}

func TestRefreshOfAUnitToCome(t *testing.T) {
	f, _ := onDisk(t)
	if err := f.start(t).Refresh(t.Context(), "none.service"); err != nil || f.called() != "reload" {
		t.Errorf("Refresh = %v, calls %q, want a reload", err, f.called())
	}
}

func TestDropInDirs(t *testing.T) {
	for unit, want := range map[string][]string{
		"web.service":      {"web.service.d", "service.d"},
		"web-eu-1.service": {"web-eu-1.service.d", "web-eu-.service.d", "web-.service.d", "service.d"},
		"web@a-b.service":  {"web@a-b.service.d", "web@.service.d", "service.d"},
	} {
		if got := dropInDirs(unit); !slices.Equal(got, want) {
			t.Errorf("dropInDirs(%s) = %q, want %q", unit, got, want)
		}
	}
}
