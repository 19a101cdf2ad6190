// Package model explores every run of a few claimants over the real rules of package
// lease, against an adversary for time, the network and crashes:
//
//   - a clock shows anything, and each process may think at any moment that an id can be
//     taken, whatever the table says
//   - a request is applied not at all, once or more often, at any later moment, and its
//     answer may be lost
//   - a process ends anywhere, alone or with the machine, with the disk or without, and
//     where it ends alone the app goes on
//   - an app uses any moment that its bounds allow, at any time; one that does not look
//     overruns them by the slack, and a process may begin with another slack than the
//     one before it
//
// All processes are of one owner, which no rule may tell apart by anything but the nonce.
//
// What the model has of its own is what no rule decides: the order in which a process
// does things, the disk, and the table. What must never happen is that a unit of time of
// one id is used by two holders, or twice by runs of one app.
//
// It is for tests only.
package model
