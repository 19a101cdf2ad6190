// Package image reads and makes read-only filesystem images, which an instance
// mounts in place of unpacking an archive.
//
// A reader walks an image of erofs or squashfs, whose bytes are an io.ReaderAt,
// and returns its tree. The kernel will parse these bytes, so the rules of an
// archive hold (package tree), and those of an image in addition:
//
//   - The superblock and everything it points to is within the image, and asks for
//     no feature that is not known here. A tail of less than a block is left over.
//   - There are only directories, files, symbolic links and further names of files.
//     Nothing has the set-uid, set-gid or sticky bit, or extended attributes: there
//     are no file capabilities.
//   - A directory has one name, is sorted, and holds itself and its parent under
//     "." and "..", where the format stores these.
//   - Blocks of squashfs are at most 128 KiB: larger ones make every small read slow.
//
// What is not allowed is a [*tree.RefusedError]. Time and memory are bounded by the
// limits and by constants, whatever the image claims. The content of files is not
// read, but for a bound on where it is.
//
// A [Writer] makes an erofs image of a tree without compression: equal entries and
// contents are equal bytes.
//
// The package mounts nothing and never touches the disk by itself.
package image
