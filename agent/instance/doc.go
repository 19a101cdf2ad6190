// Package instance describes this machine: its identity, its tags, the state its
// Auto Scaling group wants it in, and its role's credentials, all from the EC2
// instance metadata service (IMDS), and how much memory the kernel allows this
// process.
//
// IMDS may be late, slow or throttled while an instance starts, so every read is
// repeated, in one layer, until it is answered, its context ends, or
// [Options.Patience] is used up. Answers that a repetition cannot change are final.
//
// What the package never does: it never speaks IMDSv1, follows a redirect, uses
// a proxy, or reads more than 64 KiB of an answer; and no token, credential or
// answer of unknown content ever becomes part of an error. Tags are untrusted
// input: their values are bounded and free of control characters, and the
// configuration has to check them before use.
//
// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html
package instance
