package install

import (
	"io/fs"
	"os"
	"path"

	"koboshi/agent/config"
	"koboshi/systemd"
)

// Where things go. A package's unit is what shows that a package is installed.
const (
	Binary     = "/usr/local/bin/koboshi" // as the units say
	UnitDir    = "/etc/systemd/system"
	ConfigDir  = "/etc/koboshi" // as the units say
	packageDir = "/usr/lib/systemd/system"
	packaged   = packageDir + "/" + systemd.BootUnit
)

// Options say what Install does beyond what it always does.
type Options struct {
	Program string         // the file that becomes [Binary], on the machine that runs this
	App     string         // NAME of the configuration, NAME.toml in [ConfigDir]
	Config  *config.Config // the root's; nil where it has none yet: then the default paths are used
	Enable  bool           // make the links that enable the app's units
	Follow  Follow
}

// Install brings binary, units and directories, in an order in which a unit
// never refers to a missing file. The changes made before an error are returned
// with it.
func (r *Root) Install(o Options) ([]Change, error) {
	r.changes = nil
	err := r.install(o)
	return r.changes, err
}

func (r *Root) install(o Options) error {
	if err := r.program(o.Program); err != nil {
		return err
	}
	dirs := []string{ConfigDir, ConfigDir + "/keys", dropInsOf(o.App)}
	if o.Config != nil {
		dirs = append(dirs, o.Config.Install.Root, o.Config.State.Dir) // state.run does not survive a reboot: the unit makes it
	}
	for _, dir := range dirs {
		if err := r.ownDir(dir); err != nil {
			return err
		}
	}
	if err := r.follow(o.App, o.Follow, o.Enable); err != nil {
		return err
	}
	if o.Config != nil {
		if err := r.allowPaths(o.App, o.Config); err != nil {
			return err
		}
		if err := r.orderWatch(o.App, o.Config); err != nil {
			return err
		}
	}
	if !o.Enable {
		return nil
	}
	for _, unit := range alwaysEnabled() {
		if err := r.enable(unit, o.App); err != nil {
			return err
		}
	}
	return nil
}

// program brings binary and units, or removes those that a package replaces.
func (r *Root) program(file string) error {
	if r.hasPackage() {
		return r.removeProgram()
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return &Error{message: file + ": not read", class: ErrDisk, cause: err, advice: "in a chroot mount /proc, or install from outside with --root"}
	}
	if err := r.file(Binary, program, 0o755); err != nil {
		return err
	}
	return eachUnit(func(unit string) error {
		text, err := fs.ReadFile(systemd.Units(), unit)
		if err != nil {
			return err
		}
		return r.file(path.Join(UnitDir, unit), text, 0o644)
	})
}

// eachUnit does something with each of the unit files.
func eachUnit(do func(unit string) error) error {
	units, err := fs.ReadDir(systemd.Units(), ".")
	if err != nil {
		return err
	}
	for _, unit := range units {
		if err := do(unit.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (r *Root) hasPackage() bool {
	_, err := r.root.Lstat(in(packaged))
	return err == nil
}

// allowPaths lets the app's units write to the paths of the configuration.
func (r *Root) allowPaths(app string, cfg *config.Config) error {
	text := pathsDropIn(cfg.Install.Root, cfg.State.Dir, cfg.State.Run)
	for _, unit := range runUnits() {
		var err error
		if name := dropInOf(unit, app, pathsFile); text == "" {
			err = r.remove(name)
		} else {
			err = r.file(name, []byte(text), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runUnits are the units that write to the app's paths.
func runUnits() []string { return []string{systemd.BootUnit, systemd.SyncUnit, systemd.WatchUnit} }

// alwaysEnabled are the units that every app has.
func alwaysEnabled() []string { return []string{systemd.BootUnit, systemd.WatchUnit} }

// dropInOf is a drop-in of the app's unit.
func dropInOf(unit, app, name string) string {
	return path.Join(UnitDir, systemd.UnitOf(unit, app)+".d", name)
}

const pathsFile = "10-paths.conf"

// dropInsOf is where the app's configuration has its drop-ins.
func dropInsOf(app string) string { return path.Join(ConfigDir, app+".d") }
