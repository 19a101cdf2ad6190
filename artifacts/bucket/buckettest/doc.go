// Package buckettest is for tests of what stores releases: a bucket in memory
// that misbehaves on request, and one conformance function that every bucket
// must pass, be it memory, a directory, a mock of S3 or a real server.
//
// It is not for production: [Memory] keeps everything and forgets at exit.
package buckettest
