// Package systemd speaks with PID 1: it tells the service manager how this
// process is doing (sd_notify(3)), runs unit jobs over D-Bus and waits for
// their outcome (org.freedesktop.systemd1(5)), and carries the unit files that
// run the agent.
//
// The words are systemd's own. A job is one queued request to start or stop a
// unit. An invocation is one life of a unit, from its start to its end; it has
// an id, so that a unit that crashed and was started again is told from one
// that never stopped.
//
// A command of somebody else's is run in a transient unit: one that is made for
// it, with the user and the limits it shall have, and gone when it has ended.
//
// The package never runs systemctl, never enables or writes a unit file, and
// never reads any: what it says about a unit is what PID 1 says.
package systemd
