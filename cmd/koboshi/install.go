package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

type installOptions struct {
	root           string
	noEnable, json bool
	follow         string
	app            string // NAME of the configuration, NAME.toml
}

func (c *cli) install() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "install",
		Short: "install koboshi, its units and its directories",
		Long: "Copy this binary to " + install.Binary + " and the units to " + install.UnitDir + ", make the\n" +
			"directories of the configuration, let the units write to those that are not the default, and\n" +
			"enable " + systemd.BootUnit + " and " + systemd.WatchUnit + ", which is stopped after the app\n" +
			"and before its log shippers. Nothing is started. Doing it again changes only what has to change.\n" +
			"Where a package has brought binary and units, only the rest is done.\n" +
			"With --follow the instance looks at its channel by itself from then on: " + systemd.SyncTimer + ".\n" +
			"Another app on the same instance has its own configuration: --config " + install.ConfigDir + "/NAME.toml\n" +
			"enables " + systemd.UnitOf(systemd.BootUnit, "NAME") + " and " + systemd.UnitOf(systemd.WatchUnit, "NAME") + " for it.\n" +
			"With --root it is done to an image, whose own configuration is read. Without systemd there\n" +
			"is nothing to install into: exit 2." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Disk),
		Example: "  koboshi install\n  koboshi install --follow 5m\n  koboshi install --config /etc/koboshi/green.toml\n  koboshi install --root /mnt/image --no-enable",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runInstall(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.root, "root", "/", "`DIR` of the root file system to install into")
	cmd.Flags().BoolVar(&o.noEnable, "no-enable", false, "do not enable the units")
	cmd.Flags().StringVar(&o.follow, "follow", "", "have the instance look at its channel at this `interval`, such as 5m; off = no longer")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *cli) runInstall(ctx context.Context, o installOptions) (err error) {
	if o.app, err = installedApp(c.configFile); err != nil {
		return err
	}
	c.configFile = filepath.Join(o.root, c.configFile)
	follow, err := parseFollow(o.follow)
	if err != nil {
		return err
	}
	root, err := install.Open(o.root)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.CheckSystemd(); err != nil {
		return err
	}
	cfg, err := c.configOf(o.root)
	if err != nil {
		return err
	}
	if cfg != nil {
		if err := c.checkNeighbours(cfg, true); err != nil {
			return err
		}
	}
	changes, err := root.Install(install.Options{Program: "/proc/self/exe", App: o.app, Config: cfg, Enable: !o.noEnable, Follow: follow})
	if err != nil {
		return err
	}
	if err := c.reportChanges(ctx, root, changes, o.json); err != nil {
		return err
	}
	if timer := systemd.UnitOf(systemd.SyncTimer, o.app); o.root == "/" && follow != (install.Follow{}) {
		verb := "restart"
		if follow.Off {
			verb = "stop"
		}
		c.ui.say("it counts from the next start of the machine on, or now: systemctl %s %s", verb, timer)
	}
	return nil
}

// parseFollow reads the value of --follow.
func parseFollow(text string) (f install.Follow, err error) {
	switch text {
	case "":
		return f, nil
	case "off":
		return install.Follow{Off: true}, nil
	}
	f.Every, err = time.ParseDuration(text)
	if err != nil || f.Every < install.MinFollow || f.Every > install.MaxFollow {
		return f, usage(fmt.Errorf("--follow %q: want an interval of 10s to 24h, such as 5m, or off", text))
	}
	return f, nil
}

// installedApp is the app whose unit reads a configuration file, as a path of the
// machine that is installed into.
func installedApp(config string) (name string, err error) {
	name, err = appName(config)
	if err == nil && filepath.Dir(filepath.Clean(config)) != install.ConfigDir {
		err = failure.WithHint(usage(fmt.Errorf("--config %s: a unit reads its configuration from %s only", config, install.ConfigDir)),
			fmt.Sprintf("put it there: --config %s/%s.toml, which is a path below --root", install.ConfigDir, name))
	}
	return name, err
}

// configOf is the configuration of a root; nil where it has none yet.
func (c *cli) configOf(root string) (*config.Config, error) {
	cfg, err := c.loadConfig()
	if errors.Is(err, fs.ErrNotExist) && c.configFile == filepath.Join(root, defaultConfig) {
		c.ui.warn(fmt.Sprintf("no %s yet: install again where its paths are not the default ones", c.configFile))
		return nil, nil
	}
	return cfg, err
}

func (c *cli) reportChanges(ctx context.Context, root *install.Root, changes []install.Change, asJSON bool) error {
	if err := root.Reload(ctx, changes); err != nil {
		c.ui.warn(fmt.Sprintf("systemd has not read its changed units: run systemctl daemon-reload (%v)", err))
	}
	if asJSON {
		return c.ui.printJSON(struct {
			Changes []install.Change `json:"changes"`
		}{append([]install.Change{}, changes...)}) // never null
	}
	if len(changes) == 0 {
		c.ui.printf("unchanged\n")
	}
	for _, change := range changes {
		c.ui.printf("%-9s %s\n", change.Change, change.Path)
	}
	return nil
}
