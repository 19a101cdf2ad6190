// Package failure is the one table that sorts errors: each sentinel of the
// packages below to its exit code, to the kind of failure that fallback.when
// speaks of, and to what can be done about it.
//
// The exit codes are a contract with systemd units, scripts and people. What
// follows from the table: the exit code and the hint of every command, whether a
// launch may end with the last known good release, the list of codes in each
// command's help, and RestartPreventExitStatus= of the boot unit, which a test
// holds against it.
//
// The package decides nothing else: what a kind of failure ends as is the
// business of agent/converge.
package failure
