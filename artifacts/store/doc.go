// Package store keeps the releases of one app on disk:
//
//	<root>/releases/<version>-<first 12 of manifest sha256>/
//	    tree/            what the app sees
//	    meta/manifest    the signed envelope, byte for byte
//	    meta/pointers/   a file a channel: its signed pointer to this release,
//	                     and when it was last seen
//	    meta/index       what the tree consists of
//	    meta/image       of a mounted tree: the file system that tree/ is the mount point of
//	    meta/complete    written last while staging; without it there is no release
//	    meta/healthy     the instance that the release passed the gate on, and when
//	<root>/current  -> releases/<id>/tree    what runs
//	<root>/previous -> releases/<id>/tree    what to go back to, only ever a healthy one
//	<root>/.staging/                         releases that are being made, and garbage
//
// The disk is the truth. A [Release] is a snapshot of it, and only this
// package makes one: from a directory whose marker, manifest and name agree,
// and whose manifest verifies under the trust that the store was opened with.
// Any other directory is pruned and otherwise ignored; where a link points to it,
// the link's error has the reason.
//
// One rename makes, replaces or removes a release, after everything in it has
// reached the disk; another makes it current. Only the first release of a machine is
// current before that, as a [Staged]: it has no marker yet, so that it is none. So a
// crash, a power cut or a full disk leaves the old state or the new one, and at worst
// something in .staging, which [Store.Prune] removes. Nothing is deleted before an
// install: on ext4 that would cost more than the install itself.
//
// The order of events is a counter on the disk, never the clock. Permissions
// never depend on the umask.
//
// An image is mounted by [Store.Mount] before its app starts, also after a reboot, and
// unmounted before its directory is moved or removed. Only an image that was staged,
// and so verified, is mounted.
//
// A tree is unpacked from an artifact, or made from an installed release and a
// delta ([DeltaUpdate]). The outcome is the same.
//
// The store never fetches, never decides what should run, and does not lock
// other processes out by itself: its caller has the lock of the app.
package store
