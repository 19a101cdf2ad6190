// Package prune removes old releases from a bucket: it marks what no rule keeps, and
// sweeps what has been marked for long enough. Package retire has the marks.
//
//   - [Look] lists what there is, and decides what happens to each release. It writes
//     nothing.
//   - [Plan.Do] marks, takes marks off, and sweeps. A sweep swaps the mark that Look has
//     read before the channels, and only then deletes: artifacts, deltas and lists, and
//     the manifest at the end. One that has died is taken up by the next.
//   - [Keep] keeps a release, or takes that back.
//
// What is deleted is below the release's own prefix, and is an object that its manifest
// names or whose name is one that publish gives. Everything else there is counted and
// left alone.
//
// Not knowing keeps everything: a channel that cannot be read ends a prune before it
// writes, a manifest that cannot be read keeps its release, and a store without
// conditional writes, ETags and a clock is refused.
package prune
