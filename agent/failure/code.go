package failure

import (
	"maps"
	"slices"
)

// Code is an exit code.
type Code int

// The exit codes.
const (
	OK            Code = 0
	Found         Code = 1
	Usage         Code = 2
	Configuration Code = 10
	Metadata      Code = 11
	Credentials   Code = 12
	Resolve       Code = 13
	Untrusted     Code = 14
	Fetch         Code = 15
	Integrity     Code = 16
	Archive       Code = 17
	Disk          Code = 18
	Activate      Code = 19
	Unhealthy     Code = 20
	Lifecycle     Code = 21
	NodeID        Code = 22
	Locked        Code = 23
	Deadline      Code = 24
	Internal      Code = 70
	Interrupted   Code = 130
)

var meanings = map[Code]string{
	OK:            "ok",
	Found:         "a check found something",
	Usage:         "usage",
	Configuration: "configuration",
	Metadata:      "instance metadata",
	Credentials:   "no credentials, or access denied",
	Resolve:       "does not exist, or this agent is too old",
	Untrusted:     "verification failed: signature, binding, format, sequence or expiry",
	Fetch:         "the download failed",
	Integrity:     "size or hash differ from what was signed",
	Archive:       "the archive was refused",
	Disk:          "no space, read-only, or an I/O error",
	Activate:      "the release could not be started",
	Unhealthy:     "the release is not healthy",
	Lifecycle:     "the lifecycle action could not be completed, or the group not put back",
	NodeID:        "no node id",
	Locked:        "another run holds the lock",
	Deadline:      "the deadline has passed",
	Internal:      "internal error",
	Interrupted:   "interrupted",
}

// String is what the code means, as help and documentation say it.
func (c Code) String() string { return meanings[c] }

// Restartable reports whether starting the same run again may end otherwise. A
// result that was reported never does. Usage is not among those: a Go program
// also ends with 2 at the watchdog's SIGABRT.
func (c Code) Restartable() bool {
	switch c {
	case Usage, Internal, Interrupted:
		return true
	}
	return false
}

// Codes is every exit code, in order.
func Codes() []Code {
	return slices.Sorted(maps.Keys(meanings))
}
