// Package tree handles directory trees from untrusted sources: their entries and
// index, writing them beneath a root, and comparing them with their index.
//
// What an entry may be is decided here, for archives and indexes alike:
//
//   - A path is relative, without "..", and never leads through a link. This is
//     checked on the entries alone, and the kernel is also instructed to resolve
//     beneath the root and to follow no link.
//   - Links are made last, when all that they could lead through is known. A
//     symbolic link that leaves the tree or goes in circles is refused.
//   - A path occurs once. A hard link refers to an earlier regular file.
//   - A file gets mode&0755 with owner read, a directory 0755.
//   - Bytes, entries, depth and lengths are bounded, by [Limits] and by the
//     constants here.
//
// What is not allowed is a [*RefusedError], and the caller discards the
// directory. Nothing outside the root is ever touched.
//
// The package never fsyncs: the caller does one syncfs for the whole tree.
package tree
