// Package retire is the mark of a release that is to be removed from the bucket: what
// it says, what may follow it, and who has to look at it.
//
// A mark is the object releases/<version>/retired.json. Every change of it is a
// compare-and-swap, and it is never deleted: what was removed keeps its mark, so that
// its version is never published again.
//
//	(none), unmarked         -> marked    by prune
//	marked                   -> unmarked  by prune, once a rule keeps the release
//	marked                   -> sweeping  by prune; only then it deletes
//	sweeping                 -> gone      by prune, once everything is deleted
//	(none), unmarked, marked -> kept      by an operator
//	kept                     -> unmarked  by an operator
//
// Who makes a channel point to a release, or writes its manifest, asks for a [Permit]
// first, which a mark refuses, and writes within [Longest]. Who removes a release waits
// until its mark is [MinGrace] old by the store's clock, then reads every channel, and
// then swaps that same mark. The channels show what was written by a permit from before
// the mark, and as long as the mark is the same there was none since.
//
// Marks are not signed: who may write releases may write marks. The worst that a
// false one does is that its version cannot be promoted until an operator keeps it;
// what a rule keeps is not removed because of it.
//
// What the package never does: it never decides which release is marked, and never deletes
// anything.
package retire
