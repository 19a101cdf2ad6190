// Package retire is the mark of a release that is to be removed from the bucket: what
// it says, what may follow it, and who has to look at it.
//
// A mark is the object releases/<version>/retired.json. Every change of it is a
// compare-and-swap, and it is never deleted: what was removed keeps its mark, so that
// its version is never published again.
//
//	(none), unmarked -> marked      by prune
//	marked           -> unmarked    by prune, once a rule keeps the release again
//	marked           -> sweeping    by prune, once the mark is old enough
//	sweeping         -> sweeping    by the prune that takes up one that has died
//	sweeping         -> unmarked    by prune, where a channel points to the release
//	sweeping         -> gone        by prune, once everything is deleted
//	all but sweeping and gone -> kept, and kept -> unmarked, by an operator
//
// Whoever makes a channel point to a release, or writes its manifest, asks for a
// [Permit] first and writes within [Longest]. A mark becomes sweeping [MinGrace] after it
// was written at the soonest, by the store's clock, and the channels are read after
// that: so they show whatever was written by a permit from before the mark.
//
// Marks are not signed: whoever may write releases may write marks. The worst that a
// false one does is that its version cannot be promoted until an operator keeps it;
// what a rule keeps is not removed because of it.
package retire
