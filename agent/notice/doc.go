// Package notice is what an instance is told about its own end: the state that its
// Auto Scaling group wants it in, the interruption notice of a Spot Instance, and
// the recommendation to replace it. All three are levels in the instance metadata,
// not events: what was missed while nobody looked is still there.
//
// Metadata that does not answer, or answers what it would not, is no notice, and
// takes none back: only an answer does either.
//
// What the package never does: it never acts on a notice, asks anything but the
// metadata, or logs.
package notice
