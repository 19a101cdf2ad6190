// Package census is what instances say about themselves in the bucket, and how the
// release side reads it.
//
//   - A [Record] is one object: which release an instance runs or has failed with, since
//     when, how its last boot went, and its node id. Its key names channel, release,
//     instance and state, so that a list alone counts a rollout.
//   - [Survey] lists the records and keeps the newest of each instance; [Read] fetches
//     their content, from a cache on the reader's disk where it has not changed.
//   - [View] is a fleet as people see it: the records held against the channels, and
//     against the members of the group.
//   - [Page] is the view as one HTML page.
//
// Nothing of it is signed: an instance has no key, and any instance with the role can
// write any record. So a record is a hint for operators. It can stop a promotion and
// never makes an instance run anything; and whatever is in it is cleaned, bounded and
// escaped before anyone sees it.
//
// Times are the store's: when an object was last modified, against the Date of the
// answer that lists it. The package never logs and never deletes.
package census
