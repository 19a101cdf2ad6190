// Package s3 is one bucket of S3, or of a server that speaks its API: ranged
// and pinned reads, conditional writes, lists. It is the only package that
// knows the S3 SDK.
//
// Retries happen at one layer, the SDK's, with the retryer of the aws.Config:
// a request is repeated until the first byte of its answer. A body that breaks
// off afterwards is an error of its Read, and the caller decides how to go on.
// The one thing the SDK does not know to repeat, 409 "a conflicting operation
// is under way", is repeated here at the same retryer's pace and budget.
//
// What is read is not trusted: no checksum of S3 covers a range, so only the
// caller's own hash counts. But an answer must be the one that was asked for,
// or it is an [bucket.AnswerError]. Errors name bucket and key, never a URL.
package s3
