// Package doctor examines a machine before it matters: whether the next boot or
// sync will find what it needs, and why the last one ended as it did.
//
//   - A fact is the answer to one question, asked of metadata, bucket, Auto
//     Scaling, systemd or the disk, or the reason why there is none. All are
//     gathered first, side by side, each within [Limit], so that an examination
//     ends in bounded time whatever is unavailable.
//   - A check is a pure function from facts to findings. One that lacks a fact
//     says so in a warning instead of guessing.
//   - A [Finding] is one line, its level, and one hint where something can be
//     done.
//
// Everything is asked in a way that changes nothing, with one exception that is
// documented: a heartbeat for a lifecycle action that waits for this instance
// restarts its timeout. Completing an action cannot be tried and is not. A write next to
// the node ids, and one next to the health records, have a condition that never holds: only
// a store that ignores conditions would keep them.
//
// The package has no I/O but the interfaces that its caller fills in, accepts
// no document that the trusted keys have not signed, and never logs.
package doctor
