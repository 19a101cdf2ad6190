// Package state is what one run of koboshi leaves for the next: the highest
// sequence of each channel, the operator's hold, what this instance has
// signalled, and the lock that makes a run the only one.
//
// [State] is a cache. Sequences that it loses are read again from the pointers
// stored with the releases, so a file that is missing, damaged or written by a
// newer agent is never an error: [Load] returns what can be used and a warning.
// Unknown members are kept and written back.
//
// [Lock] is a flock(2) on a file that names its owner.
//
// The package never logs, and it decides neither which sequence is admitted nor
// whether a hold counts.
package state
