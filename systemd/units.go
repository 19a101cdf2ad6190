package systemd

import (
	"embed"
	"io/fs"
)

// BootUnit is the unit that runs koboshi at every start of the machine.
const BootUnit = "koboshi-boot.service"

//go:embed units/*.service
var files embed.FS

// Units is the unit files that run the agent, by their names: they go
// into /etc/systemd/system or an image's /usr/lib/systemd/system.
//
// koboshi-boot.service runs "koboshi boot" at every start of the machine. Its
// RestartPreventExitStatus= lists the exit codes that report how a run ended:
// systemd repeats a run only where the agent could not report, after a signal,
// a timeout, a watchdog or an internal error (70).
func Units() fs.FS {
	units, _ := fs.Sub(files, "units") // fails for an invalid path only
	return units
}
