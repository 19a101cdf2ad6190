// Package converge brings one app on one machine to what its channel points to,
// and decides what a failure on the way ends as.
//
//   - resolve    the channel's pointer and the manifest it names, both verified, once
//   - install    the release's bytes, proven, unpacked and durable
//   - delta      in its place, where an installed release needs only what changed
//   - activate   current points at the release, and the app is started from it
//   - gate       the app is healthy, and stays so for the bake window
//   - settle     the first release of a machine was started before it was durable: it is now
//   - recheck    the channel again: if it moved, once more from resolve
//
// Around activate and gate a release's own hooks run: pre_start, pre_stop of the
// release that was running, and post_start.
//
// A [Run] remembers which release is up, so that no step is done twice. It knows no
// Auto Scaling group, takes no lock and prints nothing: package agent, which calls
// it, does that.
package converge
