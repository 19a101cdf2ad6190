// Package artifacts is the vocabulary of koboshi: what a release is, what a
// channel points to, and what it takes to verify either.
//
//   - An app is what is deployed. A release is one immutable build of it: a
//     version, a manifest, one artifact per platform.
//   - An artifact is the bytes: a tar.zst, a tar.gz, or one executable file.
//   - A manifest is the signed description of a release. It binds app, version,
//     and for each artifact its key, size, hash, format and limits.
//   - A channel is a signed pointer to the current release, with a sequence
//     number that only grows.
//
// Both documents travel as DSSE envelopes signed with Ed25519. The payload type
// is part of what is signed, so a pointer cannot pose as a manifest. A payload
// is not parsed before enough signatures are verified. Only [Trust.Pointer] and
// [Trust.Manifest] return a [VerifiedPointer] or a [VerifiedManifest]: a function
// that takes one of these types need not check again.
//
// The package does no I/O, reads no clock, and knows neither where documents
// are stored nor where artifacts are unpacked.
package artifacts
