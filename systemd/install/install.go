package install

import (
	"io/fs"
	"os"

	"koboshi/agent/config"
	"koboshi/systemd"
)

// Where things go. A package's unit is what shows that a package is installed.
const (
	Binary    = "/usr/local/bin/koboshi" // as the unit says
	UnitDir   = "/etc/systemd/system"
	configDir = "/etc/koboshi"
	unit      = UnitDir + "/" + systemd.BootUnit
	packaged  = "/usr/lib/systemd/system/" + systemd.BootUnit
	dropIn    = unit + ".d/10-paths.conf"
)

// Options say what Install does beyond what it always does.
type Options struct {
	Program string         // the file that becomes [Binary], on the machine that runs this
	Config  *config.Config // the root's; nil where it has none yet: then the default paths are used
	Enable  bool           // make the links that enable the unit
}

// Install brings binary, unit and directories, in an order in which the unit
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
	dirs := []string{configDir, configDir + "/keys", configDir + "/koboshi.d"}
	if o.Config != nil {
		dirs = append(dirs, o.Config.Install.Root, o.Config.State.Dir) // state.run does not survive a reboot: the unit makes it
	}
	for _, dir := range dirs {
		if err := r.ownDir(dir); err != nil {
			return err
		}
	}
	if o.Config != nil {
		if err := r.allowPaths(o.Config); err != nil {
			return err
		}
	}
	if !o.Enable {
		return nil
	}
	return r.enable()
}

// program brings binary and unit, or removes those that a package replaces.
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
	text, err := fs.ReadFile(systemd.Units(), systemd.BootUnit)
	if err != nil {
		return err
	}
	return r.file(unit, text, 0o644)
}

func (r *Root) hasPackage() bool {
	_, err := r.root.Lstat(in(packaged))
	return err == nil
}

// allowPaths lets the unit write to the paths of the configuration.
func (r *Root) allowPaths(cfg *config.Config) error {
	if text := pathsDropIn(cfg.Install.Root, cfg.State.Dir, cfg.State.Run); text != "" {
		return r.file(dropIn, []byte(text), 0o644)
	}
	return r.remove(dropIn)
}

// enable makes the links that systemctl enable makes.
func (r *Root) enable() error {
	target := unit
	if r.hasPackage() {
		target = packaged
	}
	links, err := wantedBy(systemd.BootUnit)
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := r.link(target, link); err != nil {
			return err
		}
	}
	return nil
}
