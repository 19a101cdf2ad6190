package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"koboshi/agent/failure"
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
