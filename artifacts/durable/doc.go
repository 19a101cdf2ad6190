// Package durable writes small files and links so that a reader, or a machine
// that lost power, sees either the old content or the new one and never a mix.
//
// Everything happens beneath an [os.Root], so a name cannot lead out of the
// directory that the caller opened. A nil error means the change has reached
// the disk: the bytes were fsynced before the rename and the directory after it.
//
// The package never retries an fsync: once the kernel has reported a lost
// write, a second fsync would report success for bytes that are gone.
package durable
