// Package service starts, stops and probes the app on this machine, and runs
// the programs that a release brings: its hooks and its health command.
//
// There are two backends. With service.unit the app is a systemd unit: it is
// started and stopped over D-Bus, the gate watches its invocation, and programs
// of the release run in transient units. With service.restart (and
// service.stop) the app is started by a command, where there is no systemd: the
// gate looks at the process that listens on the probe's address, and programs
// of the release run in process groups.
//
// Programs of a release never run as root unless the configuration or the app's
// unit sets root as their user. The same is true of the configuration's own health
// command.
package service
