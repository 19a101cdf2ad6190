// Package durabletest is a directory for tests that remembers what a power cut
// would leave of it.
//
// A [Disk] does every change for real, and keeps a model of what is durable:
//
//   - A file has the bytes that it had at its last fsync; before that, none.
//   - A directory has the entries that it had at its last fsync. Each directory
//     is on its own: of a rename from one to another, either half may be lost.
//   - A link has its target as soon as it has its name.
//   - syncfs is an fsync of everything.
//
// That is stricter than any journaling file system. After each change,
// [Disk.States] is what a power cut at that moment may leave: nothing but what
// is durable, or all entries (with only the bytes that are durable), or one
// directory or entry ahead of all others, or one behind all others.
package durabletest
