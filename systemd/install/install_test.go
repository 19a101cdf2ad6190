package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"koboshi/agent/config"
	"koboshi/systemd"
)

// A rootFS is a directory that stands for a machine's root.
type rootFS struct {
	t   *testing.T
	dir string
}

func newRootFS(t *testing.T) rootFS {
	t.Helper()
	r := rootFS{t, t.TempDir()}
	r.write("/usr/lib/systemd/systemd", "PID 1", 0o755)
	return r
}

func (r rootFS) path(name string) string { return filepath.Join(r.dir, name) }

func (r rootFS) write(name, text string, mode fs.FileMode) {
	r.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(r.path(name)), 0o755), os.WriteFile(r.path(name), []byte(text), mode)); err != nil {
		r.t.Fatal(err)
	}
}

func (r rootFS) has(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

func (r rootFS) open() *Root {
	r.t.Helper()
	root, err := Open(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(root.Close)
	return root
}

// options install a program that says "new".
func (r rootFS) options(cfg *config.Config) Options {
	program := filepath.Join(r.t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("new"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return Options{Program: program, App: systemd.FirstApp, Config: cfg, Enable: true}
}

func (r rootFS) install(o Options) []Change {
	r.t.Helper()
	changes, err := r.open().Install(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return changes
}

func (r rootFS) uninstall() []Change {
	r.t.Helper()
	changes, _, err := r.open().Uninstall(systemd.FirstApp)
	if err != nil {
		r.t.Fatal(err)
	}
	return changes
}

func settings(root, state string) *config.Config {
	cfg := &config.Config{App: "web"}
	cfg.Install.Root, cfg.State.Dir, cfg.State.Run = root, state, "/run/koboshi/web"
	return cfg
}

const (
	enabledBy = "/etc/systemd/system/multi-user.target.wants/koboshi-boot.service"
	watchedBy = "/etc/systemd/system/multi-user.target.wants/koboshi-watch.service"
	unit      = UnitDir + "/koboshi-boot.service"
	template  = UnitDir + "/koboshi-boot@.service"
	dropIn    = unit + ".d/10-paths.conf"
)

func TestInstallTwice(t *testing.T) {
	r := newRootFS(t)
	o := r.options(settings("/srv/web", "/var/lib/koboshi/web"))
	changes := r.install(o)
	for _, want := range []Change{
		{Binary, "created"}, {unit, "created"}, {ConfigDir + "/keys", "created"},
		{"/srv/web", "created"}, {dropIn, "created"}, {enabledBy, "enabled"},
	} {
		if !slices.Contains(changes, want) {
			t.Errorf("no %v in %v", want, changes)
		}
	}
	if r.has("/run") {
		t.Error("a directory was made that does not survive a reboot")
	}
	if target, err := os.Readlink(r.path(enabledBy)); err != nil || target != unit {
		t.Errorf("the link leads to %s (%v)", target, err)
	}
	if again := r.install(o); len(again) != 0 {
		t.Errorf("the second time changed %v", again)
	}
	if changes := r.install(r.options(settings("/opt/koboshi/web", "/var/lib/koboshi/web"))); !slices.Contains(changes, Change{dropIn, "replaced"}) {
		t.Errorf("the drop-in for other paths stays: %v", changes)
	}
	own := settings("/opt/koboshi", "/var/lib/koboshi")
	own.State.Run = "/run/koboshi"
	if changes := r.install(r.options(own)); !slices.Contains(changes, Change{dropIn, "removed"}) {
		t.Errorf("the drop-in for the unit's own paths stays: %v", changes)
	}
}

func TestInstallCorrects(t *testing.T) {
	r := newRootFS(t)
	o := r.options(nil)
	r.install(o)
	r.write(unit, "[Unit]\n", 0o644)
	if err := errors.Join(os.Chmod(r.path(Binary), 0o600), os.Chmod(r.path(ConfigDir+"/keys"), 0o777), os.Remove(r.path(enabledBy))); err != nil {
		t.Fatal(err)
	}
	o.Enable = false
	want := []Change{{Binary, "replaced"}, {unit, "replaced"}, {ConfigDir + "/keys", "corrected"}}
	if got := r.install(o); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if r.has(enabledBy) {
		t.Error("the unit was enabled without being asked to")
	}
}

// What a package brings takes the place of what was installed without one, and
// uninstall leaves it.
func TestPackage(t *testing.T) {
	r := newRootFS(t)
	r.install(r.options(nil))
	r.write(packaged, "[Unit]\n", 0o644)
	var want []Change
	for _, name := range []string{"boot.service", "boot@.service", "sync.service", "sync.timer", "sync@.service", "sync@.timer", "watch.service", "watch@.service"} {
		want = append(want, Change{UnitDir + "/koboshi-" + name, "removed"})
	}
	want = append(want, Change{Binary, "removed"}, Change{enabledBy, "enabled"}, Change{watchedBy, "enabled"})
	o := r.options(nil)
	o.Program = "/nowhere" // not needed
	if got := r.install(o); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if target, err := os.Readlink(r.path(enabledBy)); err != nil || target != packaged {
		t.Errorf("the link leads to %s (%v)", target, err)
	}
	r.uninstall()
	if r.has(enabledBy) || !r.has(packaged) {
		t.Errorf("after uninstall: link %t, the package's unit %t", r.has(enabledBy), r.has(packaged))
	}
}

func TestUninstallLeavesWhatIsNotOurs(t *testing.T) {
	r := newRootFS(t)
	r.install(r.options(settings("/srv/web", "/var/lib/koboshi/web")))
	r.write(ConfigDir+"/keys/release.pub", "key", 0o644)
	r.write(dropIn+".local", "", 0o644)
	r.uninstall()
	for name, want := range map[string]bool{
		Binary: false, unit: false, dropIn: false, enabledBy: false, ConfigDir + "/koboshi.d": false,
		ConfigDir + "/keys/release.pub": true, dropIn + ".local": true, "/srv/web": true, "/var/lib/koboshi/web": true,
	} {
		if r.has(name) != want {
			t.Errorf("%s: there: %t, want %t", name, !want, want)
		}
	}
	if again := r.uninstall(); len(again) != 0 {
		t.Errorf("the second time changed %v", again)
	}
}

// A second app has the instance of the template, and its own drop-ins; whichever
// goes first, the other keeps what it needs.
func TestTwoApps(t *testing.T) {
	green := []string{
		"/etc/systemd/system/multi-user.target.wants/koboshi-boot@green.service",
		UnitDir + "/koboshi-boot@green.service.d/10-paths.conf", ConfigDir + "/green.d",
	}
	blue := []string{enabledBy, dropIn, ConfigDir + "/koboshi.d"}
	for _, tt := range []struct {
		first, last string
		gone, stays []string
	}{{"green", systemd.FirstApp, green, blue}, {systemd.FirstApp, "green", blue, green}} {
		r := newRootFS(t)
		r.install(r.options(settings("/srv/blue", "/var/lib/koboshi/blue")))
		o := r.options(settings("/srv/green", "/var/lib/koboshi/green"))
		o.App = "green"
		r.install(o)
		if target, err := os.Readlink(r.path(green[0])); err != nil || target != template {
			t.Errorf("the link leads to %s (%v)", target, err)
		}
		if again := r.install(o); len(again) != 0 {
			t.Errorf("the second time changed %v", again)
		}
		apps, err := r.open().Apps()
		if want := []string{"green", systemd.FirstApp}; err != nil || !slices.Equal(apps, want) {
			t.Errorf("installed: %v (%v), want %v", apps, err, want)
		}
		_, others, err := r.open().Uninstall(tt.first)
		if err != nil || !slices.Equal(others, []string{tt.last}) {
			t.Errorf("after %s there is %v (%v)", tt.first, others, err)
		}
		for _, name := range append(tt.stays, Binary, unit, template) {
			if !r.has(name) {
				t.Errorf("%s has gone with %s", name, tt.first)
			}
		}
		for _, name := range tt.gone {
			if r.has(name) {
				t.Errorf("%s stays without %s", name, tt.first)
			}
		}
		if _, others, err := r.open().Uninstall(tt.last); err != nil || len(others) != 0 {
			t.Errorf("after both there is %v (%v)", others, err)
		}
		for _, name := range append(tt.stays, Binary, unit, template, ConfigDir) {
			if r.has(name) {
				t.Errorf("%s stays without an app", name)
			}
		}
	}
}

// An app that is not enabled, but was installed with its paths, keeps the program.
func TestNotEnabledAppKeepsProgram(t *testing.T) {
	r := newRootFS(t)
	o := r.options(settings("/srv/green", "/var/lib/koboshi/green"))
	o.App, o.Enable = "green", false
	r.install(o)
	r.install(r.options(nil))
	if _, others, err := r.open().Uninstall(systemd.FirstApp); err != nil || !slices.Equal(others, []string{"green"}) || !r.has(Binary) {
		t.Errorf("%v (%v), binary %t", others, err, r.has(Binary))
	}
}

// The mode of what is made does not depend on the umask.
func TestUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	r := newRootFS(t)
	r.install(r.options(settings("/srv/web", "/var/lib/koboshi/web")))
	for name, want := range map[string]fs.FileMode{"/srv": 0o755, "/srv/web": 0o755, Binary: 0o755, unit: 0o644} {
		if info, err := os.Stat(r.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestFailures(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, ErrRoot) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing root: %v", err)
	}
	bare, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if err := bare.CheckSystemd(); !errors.Is(err, ErrRoot) || advice(err) == "" {
		t.Errorf("a root without systemd: %v", err)
	}
	r := newRootFS(t)
	if err := r.open().CheckSystemd(); err != nil {
		t.Error(err)
	}
	o := r.options(nil)
	o.Program = "/nowhere"
	if _, err := r.open().Install(o); !errors.Is(err, ErrDisk) || advice(err) == "" {
		t.Errorf("a program that cannot be read: %v", err)
	}
}

// A link in the root does not lead an installation out of it; what was changed
// before that is returned.
func TestLinksThatLeadOut(t *testing.T) {
	r := newRootFS(t)
	outside := t.TempDir()
	if err := errors.Join(os.MkdirAll(r.path("/etc/systemd"), 0o755), os.Symlink(outside, r.path("/etc/systemd/system"))); err != nil {
		t.Fatal(err)
	}
	changes, err := r.open().Install(r.options(nil))
	if !errors.Is(err, ErrDisk) || advice(err) == "" {
		t.Errorf("no refusal: %v", err)
	}
	if !slices.Contains(changes, Change{Binary, "created"}) {
		t.Errorf("the changes before the error are lost: %v", changes)
	}
	if found, err := os.ReadDir(outside); err != nil || len(found) != 0 {
		t.Errorf("outside of the root: %v (%v)", found, err)
	}
}

func TestPermission(t *testing.T) {
	if err := cannot("created", "/x", fs.ErrPermission); advice(err) != "run it as root" {
		t.Errorf("advice %q", advice(err))
	}
	if err := cannot("created", "/x", syscall.ENOSPC); advice(err) != "" || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("advice %q for %v", advice(err), err)
	}
}

func advice(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Advice()
	}
	return ""
}

const (
	followedBy = "/etc/systemd/system/timers.target.wants/koboshi-sync.timer"
	interval   = UnitDir + "/koboshi-sync.timer.d/10-interval.conf"
)

// An interval stays until another one is asked for, or none.
func TestFollow(t *testing.T) {
	r := newRootFS(t)
	o := r.options(settings("/srv/web", "/var/lib/koboshi/web"))
	r.install(o)
	if r.has(followedBy) || !r.has(UnitDir+"/koboshi-sync.timer") || !r.has(UnitDir+"/koboshi-sync.service.d/10-paths.conf") {
		t.Error("the timer is not there, or enabled by itself, or may not write to the paths")
	}
	o.Follow = Follow{Every: 5 * time.Minute}
	if changes := r.install(o); !slices.Contains(changes, Change{followedBy, "enabled"}) || !slices.Contains(changes, Change{interval, "created"}) {
		t.Errorf("changes %v", changes)
	}
	text, err := os.ReadFile(r.path(interval))
	if want := "# Written by koboshi install --follow.\n[Timer]\nOnActiveSec=\nOnActiveSec=300s\nOnUnitInactiveSec=300s\nRandomizedDelaySec=30s\n"; string(text) != want || err != nil {
		t.Errorf("the drop-in is\n%s (%v), want\n%s", text, err, want)
	}
	o.Follow = Follow{}
	if changes := r.install(o); len(changes) != 0 {
		t.Errorf("to install again changed %v", changes)
	}
	o.Follow = Follow{Every: 15 * time.Second}
	if changes := r.install(o); !slices.Equal(changes, []Change{{interval, "replaced"}}) {
		t.Errorf("another interval changed %v", changes)
	}
	o.Follow = Follow{Off: true}
	if changes := r.install(o); !slices.Equal(changes, []Change{{followedBy, "removed"}, {interval, "removed"}}) {
		t.Errorf("off changed %v", changes)
	}
	o.Follow, o.Enable = Follow{Every: time.Hour}, false
	if r.install(o); r.has(followedBy) || !r.has(interval) {
		t.Error("enabled without being asked to, or no interval")
	}
	if r.uninstall(); r.has(interval) || r.has(filepath.Dir(interval)) || r.has(UnitDir+"/koboshi-sync.service.d") {
		t.Error("uninstall leaves drop-ins")
	}
}

// Each app has an interval of its own.
func TestFollowOfAnotherApp(t *testing.T) {
	r := newRootFS(t)
	r.install(r.options(nil))
	o := r.options(nil)
	o.App, o.Follow = "green", Follow{Every: time.Hour}
	r.install(o)
	target, err := os.Readlink(r.path("/etc/systemd/system/timers.target.wants/koboshi-sync@green.timer"))
	if target != UnitDir+"/koboshi-sync@.timer" || err != nil || !r.has(UnitDir+"/koboshi-sync@green.timer.d/10-interval.conf") || r.has(followedBy) {
		t.Errorf("the link leads to %q (%v)", target, err)
	}
}
