// Package delta makes and reads delta updates: what changed from one set of
// files to another, in one object.
//
// The object has contents, not paths: a [Piece] makes the file with one SHA-256,
// from nothing or from a file of the base, and the release's index lists which
// path has which SHA-256. So a file that was only renamed costs nothing, and a
// delta has no path that could be hostile.
//
// A file is cut into segments of 2 MiB. Each is one zstd frame (RFC 8878),
// with a window of the base's file, from around the same place, as its
// dictionary where that makes it smaller. So memory is bounded whatever a file's
// size, segments are encoded in parallel, and the same files give the same
// bytes. The layout:
//
//	frames        of all segments of all pieces, in order
//	directory     the pieces: JSON lines in one zstd stream
//	trailer       24 bytes: the directory's length (big-endian), "koboshi delta 1\n"
//
// An object is read only after its hash was verified, and is bounded and checked
// all the same. [Make] writes a delta; [Delta.Apply] makes a tree from one, and
// hashes every byte as it is written.
package delta

import "errors"

// Limits of a delta.
const (
	SegmentBytes = 2 << 20 // of a file, plain; the last one of it may have fewer
	MaxWindow    = 8 << 20 // of the base's file, for one segment
	MaxPieces    = 1 << 20
	MaxSegments  = 1 << 21 // of all pieces together
	MaxDirectory = 64 << 20

	maxFrame = SegmentBytes + SegmentBytes/8 // packed bytes of a segment
	maxLine  = 32 << 20                      // one piece of a file of 1 TiB
)

var (
	// ErrMalformed is an object that is no delta, or does not match the index.
	ErrMalformed = errors.New("malformed delta")
	// ErrBase is a file of the base that is not what the delta was made from.
	ErrBase = errors.New("not what the delta was made from")
)

const (
	magic       = "koboshi delta 1\n"
	trailerSize = 8 + len(magic)
)

// Piece makes one file.
type Piece struct {
	SHA256   string    `json:"sha256"`        // of the file: lower-case hex
	Size     int64     `json:"size"`          // bytes of the file, at least 1
	From     string    `json:"from,omitzero"` // SHA-256 of the base's file that it takes; "" = none
	Segments []Segment `json:"segments"`
}

// Segment is one frame.
type Segment struct {
	Packed int64 `json:"packed"`          // bytes of the frame
	Start  int64 `json:"start,omitzero"`  // of the window in the base's file
	Window int64 `json:"window,omitzero"` // bytes; 0 = the frame needs no base

	offset int64 // of the frame in the object
}

// plain is how many bytes segment i of a file decodes to.
func plain(size int64, i int) int64 {
	return min(SegmentBytes, size-int64(i)*SegmentBytes)
}

// segments is how many segments a file of so many bytes has.
func segments(size int64) int64 { return (size + SegmentBytes - 1) / SegmentBytes }
