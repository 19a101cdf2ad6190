package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/systemd"
)

// Where install puts what it brings.
const (
	binary    = "/usr/local/bin/koboshi"                      // as the units say
	packaged  = "/usr/lib/systemd/system/" + systemd.BootUnit // there if a package has brought binary and units
	configDir = "/etc/koboshi"
	dropIn    = systemd.UnitDir + "/" + systemd.BootUnit + ".d/10-paths.conf"
)

type installOptions struct {
	root           string
	noEnable, json bool
}

func (c *cli) install() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "put koboshi, its units and its directories into place",
		Long: "Copy this binary to " + binary + " and the units to " + systemd.UnitDir + ", make the\n" +
			"directories of the configuration, let the unit write to those that are not the default, and\n" +
			"enable " + systemd.BootUnit + ". Nothing is started. Doing it again changes what has to change.\n" +
			"Where a package has brought binary and units, only the rest is done.\n" +
			"With --root it is done to an image, whose own configuration is read. Without systemd there\n" +
			"is nothing to install into: exit 2." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Disk),
		Example: "  koboshi install\n  koboshi install --root /mnt/image --no-enable",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("config") {
				c.configFile = filepath.Join(o.root, defaultConfig)
			}
			return c.runInstall(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.root, "root", "/", "`DIR` of the root file system to install into")
	cmd.Flags().BoolVar(&o.noEnable, "no-enable", false, "leave it to somebody else to enable the unit")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *cli) runInstall(ctx context.Context, o installOptions) error {
	i, err := openImage(o.root)
	if err != nil {
		return err
	}
	defer i.close()
	if err := i.wantSystemd(); err != nil {
		return err
	}
	cfg, err := c.loadConfig()
	if errors.Is(err, fs.ErrNotExist) && c.configFile == filepath.Join(o.root, defaultConfig) {
		c.ui.warn(fmt.Sprintf("no %s yet: install again where its paths are not the default ones", c.configFile))
		cfg, err = &config.Config{}, nil
	}
	if err != nil {
		return err
	}
	if err := i.install(cfg); err != nil {
		return err
	}
	if !o.noEnable {
		if err := i.enable(); err != nil {
			return err
		}
	}
	c.reload(ctx, i)
	return c.tellChanges(i, o.json)
}

// wantSystemd tells whether systemd is there to install into.
func (i *image) wantSystemd() error {
	for _, dir := range []string{"/usr/lib/systemd", "/lib/systemd"} {
		if info, err := i.root.Stat(in(dir)); err == nil && info.IsDir() {
			return nil
		}
	}
	return failure.WithHint(usage(fmt.Errorf("%s: no systemd here to install units for", i.dir)),
		"let whatever starts this machine run koboshi boot, and service.restart start the app")
}

// install brings binary, units and directories, in an order in which a unit
// never names what is not there.
func (i *image) install(cfg *config.Config) error {
	if err := i.program(); err != nil {
		return err
	}
	dirs := []string{configDir, configDir + "/keys", configDir + "/koboshi.d"}
	if cfg.App != "" {
		dirs = append(dirs, cfg.Install.Root, cfg.State.Dir) // state.run does not survive a reboot: the unit makes it
	}
	for _, dir := range dirs {
		if err := i.ownDir(dir); err != nil {
			return err
		}
	}
	return i.allowPaths(cfg)
}

// program brings the binary and its units, or makes way for a package's.
func (i *image) program() error {
	if i.packaged() {
		return i.removeProgram()
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return failure.WithHint(cannot("read", "/proc/self/exe", err), "in a chroot mount /proc, or install from outside with --root")
	}
	if err := i.file(binary, self, 0o755); err != nil {
		return err
	}
	return eachUnit(func(name string) error {
		text, err := fs.ReadFile(systemd.Units(), name)
		if err != nil {
			return err
		}
		return i.file(systemd.UnitDir+"/"+name, text, 0o644)
	})
}

func (i *image) packaged() bool {
	_, err := i.root.Lstat(in(packaged))
	return err == nil
}

// allowPaths lets the unit write where the configuration says.
func (i *image) allowPaths(cfg *config.Config) error {
	if cfg.App == "" {
		return nil
	}
	if text := systemd.PathsDropIn(cfg.Install.Root, cfg.State.Dir, cfg.State.Run); text != "" {
		return i.file(dropIn, []byte(text), 0o644)
	}
	return i.remove(dropIn)
}

func eachUnit(do func(name string) error) error {
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

// enable makes the links that systemctl enable makes.
func (i *image) enable() error {
	dirs, err := systemd.WantsDirs(systemd.BootUnit)
	if err != nil {
		return err
	}
	unit := systemd.UnitDir + "/" + systemd.BootUnit
	if i.packaged() {
		unit = packaged
	}
	for _, dir := range dirs {
		if err := i.link(unit, systemd.UnitDir+"/"+dir+"/"+systemd.BootUnit); err != nil {
			return err
		}
	}
	return nil
}

// reload lets a running systemd see its changed units.
func (c *cli) reload(ctx context.Context, i *image) {
	if !i.live() || !slices.ContainsFunc(i.changes, func(ch change) bool { return strings.HasPrefix(ch.Path, systemd.UnitDir+"/") }) {
		return
	}
	manager, err := systemd.Connect(ctx)
	if errors.Is(err, systemd.ErrNotBooted) {
		return // a container or a chroot: who starts it reads the units anew
	}
	if err == nil {
		err = manager.Reload(ctx)
		manager.Close()
	}
	if err != nil {
		c.ui.warn(fmt.Sprintf("systemd has not seen its changed units: run systemctl daemon-reload (%v)", err))
	}
}

func (c *cli) tellChanges(i *image, asJSON bool) error {
	if asJSON {
		return c.ui.printJSON(struct {
			Changes []change `json:"changes"`
		}{i.changes})
	}
	if len(i.changes) == 0 {
		c.ui.printf("unchanged\n")
	}
	for _, ch := range i.changes {
		c.ui.printf("%-9s %s\n", ch.Change, ch.Path)
	}
	return nil
}
