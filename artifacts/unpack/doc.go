// Package unpack turns the bytes of an archive into a directory. The bytes are
// treated as hostile even though their hash was signed.
//
// An archive is refused whole, at the first thing in it that is not allowed:
// the error is then a [*tree.RefusedError] and the caller discards the
// directory. Package tree has the rules for entries and writes them. Here:
//
//   - Devices, FIFOs, sparse files, setuid, setgid and sticky files, file
//     capabilities and unknown types are refused.
//   - Headers, windows and the stream as a whole are bounded, by the
//     [tree.Limits] of the manifest and by the constants here.
//
// Harmless attributes are normalised: owners, times and extended attributes are
// dropped, and modes are those of package tree: only root may write, everyone may
// read, execute what the owner may, and search every directory.
//
// The package never follows an archive within an archive, and never retries.
package unpack
