// Package systemd talks to PID 1: it notifies the service manager of the state
// of this process (sd_notify(3)), runs unit jobs over D-Bus and waits for their
// outcome (org.freedesktop.systemd1(5)), and contains the unit files that run the
// agent.
//
// The words are systemd's own. A job is one queued request to start or stop a
// unit. An invocation is one run of a unit, from its start to its end; it has an
// id, which distinguishes a unit that crashed and was started again from one
// that never stopped. A transient unit is created for one command, with the user
// and the limits that the command is to have, and removed when it has ended. A stop
// is armed as a timer of PID 1's own, which needs none of us when it elapses.
//
// The package never runs systemctl and never reads, writes or enables a unit
// file: all that it knows about a unit comes from PID 1.
package systemd
