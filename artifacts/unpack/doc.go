// Package unpack turns the bytes of an artifact into a directory. The bytes
// are taken to be hostile even though their hash was signed.
//
// An archive is refused whole, at the first thing in it that is not allowed:
// the error is then a [*RefusedError] and the caller discards the directory.
// Nothing outside that directory is ever touched, whatever the archive says:
//
//   - A path is relative, without "..", and never leads through a link: what
//     each path is, is known from the archive alone, and the kernel is told to
//     resolve beneath the directory and to follow no link.
//   - Links are made last, when all that they could lead through is known. A
//     symbolic link that leaves the tree or goes in circles is refused.
//   - A path is named once. A hard link names an earlier regular file.
//   - Devices, FIFOs, sparse files, setuid, setgid and sticky files, file
//     capabilities and unknown types are refused.
//   - Bytes, entries, depth, lengths, windows and the stream as a whole are
//     bounded, by the [Limits] of the manifest and by the constants here.
//
// What is harmless is normalised: owners, times and extended attributes are
// dropped, a file gets mode&0755 with owner read, a directory 0755.
//
// [Assemble] makes a tree of what is on the disk already, by an index and under
// the same rules.
//
// The package never fsyncs: the caller does one syncfs for the whole tree. It
// never follows an archive within an archive, and it never retries.
package unpack
