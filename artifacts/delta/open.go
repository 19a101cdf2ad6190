package delta

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
)

// Delta is an object whose directory was read.
type Delta struct {
	object io.ReaderAt
	pieces map[string]Piece // by the hash of what they make
}

// Open reads the directory of an object of size bytes. Anything but a well-formed
// delta is [ErrMalformed]; errors of r are wrapped.
func Open(r io.ReaderAt, size int64) (*Delta, error) {
	start, end, err := directory(r, size)
	if err != nil {
		return nil, err
	}
	d := &Delta{object: r, pieces: map[string]Piece{}}
	if err := d.read(io.NewSectionReader(r, start, end-start), start); err != nil {
		return nil, err
	}
	return d, nil
}

// Piece is the one that makes the file with this SHA-256.
func (d *Delta) Piece(sha256 string) (Piece, bool) {
	p, ok := d.pieces[sha256]
	return p, ok
}

func directory(r io.ReaderAt, size int64) (start, end int64, err error) {
	end = size - int64(trailerSize)
	if end < 0 {
		return 0, 0, malformed("%d bytes", size)
	}
	var trailer [trailerSize]byte
	if err := readAt(r, trailer[:], end); err != nil {
		return 0, 0, fmt.Errorf("read the delta: %w", err)
	}
	length := binary.BigEndian.Uint64(trailer[:])
	switch {
	case string(trailer[8:]) != magic:
		return 0, 0, malformed("it ends in %q", trailer[8:])
	case length > MaxDirectory || int64(length) > end: //nolint:gosec // it is small where it is converted
		return 0, 0, malformed("a directory of %d bytes", length)
	}
	return end - int64(length), end, nil //nolint:gosec // checked above
}

// read takes the pieces of a directory whose frames end at end.
func (d *Delta) read(packed io.Reader, end int64) error {
	z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow))
	if err != nil {
		return malformed("directory: %v", err)
	}
	defer z.Close()
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, maxLine)
	l := layout{end: end, left: MaxSegments}
	for lines.Scan() {
		p, err := l.piece(lines.Bytes())
		if err != nil {
			return err
		}
		if _, twice := d.pieces[p.SHA256]; twice || len(d.pieces) == MaxPieces {
			return malformed("piece %s comes twice, or there are more than %d", p.SHA256, MaxPieces)
		}
		d.pieces[p.SHA256] = p
	}
	if err := lines.Err(); err != nil {
		return malformed("directory: %v", err)
	}
	if l.at != l.end {
		return malformed("frames of %d bytes, %d in the directory", l.end, l.at)
	}
	return nil
}

// layout puts frames one after the other.
type layout struct {
	at, end int64
	left    int64 // segments
}

func (l *layout) piece(line []byte) (Piece, error) {
	var p Piece
	if err := json.Unmarshal(line, &p, json.RejectUnknownMembers(true)); err != nil {
		return p, malformed("directory: %v", err)
	}
	switch n := int64(len(p.Segments)); {
	case !isSHA256(p.SHA256) || p.From != "" && !isSHA256(p.From):
		return p, malformed("%.80q and %.80q, want SHA-256", p.SHA256, p.From)
	case p.Size < 1 || n != segments(p.Size):
		return p, malformed("%d segments of %d bytes", n, p.Size)
	case n > l.left:
		return p, malformed("more than %d segments", MaxSegments)
	default:
		l.left -= n
	}
	for i := range p.Segments {
		if err := l.segment(&p.Segments[i], p.From != ""); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (l *layout) segment(s *Segment, based bool) error {
	switch {
	case s.Packed < 1 || s.Packed > maxFrame:
		return malformed("a frame of %d bytes", s.Packed)
	case s.Start < 0 || s.Window < 0 || s.Window > MaxWindow || s.Window > 0 && !based || s.Window == 0 && s.Start > 0:
		return malformed("a window of %d bytes at %d", s.Window, s.Start)
	}
	s.offset = l.at
	l.at += s.Packed
	return nil
}

func isSHA256(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}

// readAt fills p. An end of file before that is io.ErrUnexpectedEOF.
func readAt(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF: //nolint:errorlint // an error that wraps EOF is none of a clean end
		return io.ErrUnexpectedEOF
	}
	return err
}
