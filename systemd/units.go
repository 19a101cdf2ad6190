package systemd

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

// BootUnit is the unit that runs koboshi at every start of the machine.
const BootUnit = "koboshi-boot.service"

// WatchUnit is the unit that drains the app before the machine ends.
const WatchUnit = "koboshi-watch.service"

// SyncTimer has the machine look at its channel every few minutes, by SyncUnit.
const (
	SyncTimer = "koboshi-sync.timer"
	SyncUnit  = "koboshi-sync.service"
)

// FirstApp is the name of the app whose configuration is koboshi.toml.
const FirstApp = "koboshi"

//go:embed units/*
var files embed.FS

// Units is the unit files that run the agent, by their names: they go
// into /etc/systemd/system or an image's /usr/lib/systemd/system.
//
// koboshi-boot.service runs "koboshi boot" at every start of the machine. Its
// RestartPreventExitStatus= lists the exit codes that report how a run ended:
// systemd repeats a run only where the agent could not report, after a signal,
// a timeout, a watchdog or an internal error (70).
//
// koboshi-watch.service runs "koboshi watch" for as long as the machine runs.
//
// koboshi-sync.timer runs koboshi-sync.service every few minutes, where it is enabled.
//
// Each has a template next to it, such as koboshi-boot@.service, for the apps
// whose configuration is NAME.toml.
func Units() fs.FS {
	units, _ := fs.Sub(files, "units") // fails for an invalid path only
	return units
}

// UnitOf is the unit that does for the app of NAME.toml what unit does for that
// of koboshi.toml: the instance called name of unit's template.
func UnitOf(unit, name string) string {
	if name == FirstApp {
		return unit
	}
	kind := path.Ext(unit)
	return strings.TrimSuffix(unit, kind) + "@" + name + kind
}

// TemplateOf is the unit file that [UnitOf] is made from.
func TemplateOf(unit, name string) string {
	if name == FirstApp {
		return unit
	}
	return UnitOf(unit, "")
}

// AppOf is the inverse of [UnitOf]: the app for which instance does what unit does
// for that of koboshi.toml.
func AppOf(unit, instance string) (name string, ok bool) {
	if instance == unit {
		return FirstApp, true
	}
	kind := path.Ext(unit)
	name, is := strings.CutPrefix(strings.TrimSuffix(instance, kind), strings.TrimSuffix(unit, kind)+"@")
	return name, is && name != "" && path.Ext(instance) == kind
}
