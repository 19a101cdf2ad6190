// Package publish is the way back: a tree becomes an artifact, artifacts become
// a release, and a channel is moved to it.
//
//   - [Read] reads a directory, an archive or a file, and finds what an instance
//     would stumble over.
//   - [Input.Pack] makes the artifact of one platform: deterministic bytes, in
//     independent zstd frames, with what a manifest says of them.
//   - [AddDeltas] makes what turns an older release into it.
//   - [Release] stores artifacts and deltas, and then the manifest that binds them. A
//     release never changes: the manifest is written last, and only where
//     there is none, so a publish that died half-way can be repeated.
//   - [Promote] moves a channel by compare-and-swap. Its sequence only grows.
//   - [AddSignature] adds a signature to a document, for thresholds.
//   - [List] lists releases and channels.
//
// What is in the bucket is verified as on an instance: documents by their
// signatures, objects by reading them back and hashing them. What an instance
// would refuse is refused here, before it is signed.
//
// A release that is retired is neither published nor promoted: see package retire.
//
// The package reads no configuration, no clock but for how long a write may still be
// made, retries no request, and never deletes anything.
package publish
