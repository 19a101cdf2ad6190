package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/systemd"
	"koboshi/systemd/install"
)

// appName is the NAME of a configuration file NAME.toml, which its unit, its
// drop-ins and --config name the app by.
func appName(file string) (string, error) {
	name, isTOML := strings.CutSuffix(filepath.Base(file), ".toml")
	if !isTOML || !isAppName(name) {
		return "", failure.WithHint(usage(fmt.Errorf("--config %s: want NAME.toml", file)),
			"a NAME has letters, digits, - and _, at most 63, and begins with a letter or digit, since it is part of the unit's name")
	}
	return name, nil
}

func isAppName(name string) bool {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return name != "" && len(name) <= 63 && strings.Trim(name, alphanumeric+"-_") == "" && strings.Contains(alphanumeric, name[:1])
}

// appsIn lists the configuration files of the apps in a directory: koboshi.toml
// first, then in name order.
func appsIn(dir string) (files []string) {
	names, _ := filepath.Glob(filepath.Join(dir, "*.toml")) // a directory with such a pattern in its name has none
	for _, name := range names {
		if _, err := appName(name); err == nil {
			files = append(files, name)
		}
	}
	slices.SortStableFunc(files, inTurn)
	return files
}

// inTurn is the order of apps: the first of two that cannot live together is the
// one that runs.
func inTurn(a, b string) int {
	const first = systemd.FirstApp + ".toml"
	switch a, b := filepath.Base(a), filepath.Base(b); {
	case a == b:
		return 0
	case a == first:
		return -1
	case b == first:
		return 1
	default:
		return strings.Compare(a, b)
	}
}

// chosenApps lists the configuration files that a command looks at: that of
// --config, or all in a directory, which without --config is that of the units.
func (c *cli) chosenApps(cmd *cobra.Command) []string {
	dir := install.ConfigDir
	if cmd.Flags().Changed("config") {
		if info, err := os.Stat(c.configFile); err != nil || !info.IsDir() {
			return []string{c.configFile}
		}
		dir = c.configFile
	}
	if found := appsIn(dir); len(found) > 0 {
		return found
	}
	return []string{filepath.Join(dir, filepath.Base(defaultConfig))}
}

// bootUnit is the unit that boots the app of the configuration.
func (c *cli) bootUnit() string {
	name, err := appName(c.configFile)
	if err != nil { // no unit can have it
		return systemd.BootUnit
	}
	return systemd.UnitOf(systemd.BootUnit, name)
}

// neighbours are the other apps on the machine. Only files in the directory that
// the units read are some, on this machine or in an image: elsewhere there may be
// configurations for several machines.
func (c *cli) neighbours(cfg *config.Config) (all []config.Neighbour) {
	file, err := filepath.Abs(c.configFile)
	if err != nil || !strings.HasSuffix(filepath.Dir(file), install.ConfigDir) {
		return nil
	}
	real := existing
	if filepath.Dir(file) != install.ConfigDir { // its links lead to other places on the machine
		real = filepath.Clean
	}
	for _, other := range appsIn(filepath.Dir(file)) {
		if other == file {
			continue
		}
		n := config.Neighbour{File: other}
		theirs, err := readConfig(other)
		if n.Err = err; err == nil {
			n.Overlaps = config.App{File: file, Config: cfg}.Overlaps(config.App{File: other, Config: theirs}, real)
		}
		all = append(all, n)
	}
	return all
}

// existing resolves the links in the part of a path that exists.
func existing(path string) string {
	for dir, rest := path, ""; dir != filepath.Dir(dir); dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
	}
	return path
}

// checkNeighbours refuses a configuration that has what only one app can have, and
// warns of what each should have for itself. With strict, whatever is the matter
// between two apps is an error of both. Else, where one of them runs, an app keeps
// running whatever is written about a later one, and whatever is wrong with the
// others' own files.
func (c *cli) checkNeighbours(cfg *config.Config, strict bool) error {
	for _, n := range c.neighbours(cfg) {
		if n.Err != nil && strict {
			c.ui.warn(fmt.Sprintf("not compared with %s: %v", n.File, n.Err))
		}
		for _, o := range n.Overlaps {
			if o.Fatal && (strict || inTurn(n.File, c.configFile) < 0) {
				return o.Err
			}
			c.ui.warn(o.Err.Error())
		}
	}
	return nil
}
