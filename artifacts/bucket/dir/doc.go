// Package dir makes a local directory a bucket, for sources such as
// file:///srv/releases: an instance that has no S3, a test, a stick.
//
// An object is a regular file whose path beneath the directory is its key. A
// write goes to a temporary file, is fsynced and renamed, so a reader sees the
// old object or the new one. Conditions are compared under an flock(2) on the
// file .koboshi.lock, which works between processes of one machine, and between
// machines where the filesystem's flock does.
//
// Every path is resolved beneath an [os.Root]: neither a key nor a symbolic
// link leads out of the directory. The package deletes no object by itself, and
// reading needs no right to write.
package dir
