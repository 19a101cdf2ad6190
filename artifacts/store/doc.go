// Package store keeps the releases of one app on disk:
//
//	<root>/releases/<version>-<first 12 of manifest sha256>/   a tree, and in its .koboshi/:
//	    manifest   the signed envelope, byte for byte
//	    pointer    the signed pointer that named it, and when that was last seen
//	    index      what the tree consists of
//	    complete   written last while staging; without it there is no release
//	    healthy    the instance that the release passed the gate on, and when
//	<root>/current  -> releases/…    what serves
//	<root>/previous -> releases/…    what served before, only ever a healthy one
//	<root>/.staging/                 trees that are being made, and garbage
//
// The disk is the truth. A [Release] is a snapshot of it, and only this
// package makes one: from a directory whose marker, manifest and name agree.
//
// A tree becomes a release by one rename, after everything in it has reached
// the disk; a release becomes current by another. So a crash, a lost power
// supply or a full disk leaves the old state or the new one, and at worst
// something in .staging, which [Store.Prune] removes. Nothing is deleted
// before an install: on ext4 that would cost more than the install itself.
//
// A tree is unpacked from an artifact, or made from a release that is here and
// a delta ([DeltaUpdate]). The outcome is the same, and so is the way to the disk.
//
// The store never fetches, never decides what should run, and does not lock
// other processes out by itself: its caller holds the lock of the app, [Lock].
package store
