package delta

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// segment is one frame that is being encoded.
type segment struct {
	Segment
	file   *File
	number int
	whole  *zstd.Encoder
	frame  []byte
	ready  chan struct{} // closed once the frame is there
}

func (s *segment) plain() int64 { return plain(s.file.Size, s.number) }

// encode makes the smaller of two frames: with the base or without it.
func (s *segment) encode() error {
	data, err := load(s.file.Open, int64(s.number)*SegmentBytes, s.plain())
	if err != nil {
		return fmt.Errorf("a changed file: %w", err)
	}
	if err := s.patch(data); err != nil {
		return fmt.Errorf("a file of the base: %w", err)
	}
	if whole := s.whole.EncodeAll(data, nil); s.frame == nil || len(whole) <= len(s.frame) {
		s.frame, s.Start, s.Window = whole, 0, 0
	}
	s.Packed = int64(len(s.frame))
	close(s.ready)
	return nil
}

// patch makes the frame from the base, where there is one, and decodes it again
// at once: a frame that instances could not decode is not published.
func (s *segment) patch(data []byte) error {
	start, length := s.around()
	if length == 0 {
		return nil
	}
	window, err := load(s.file.OpenFrom, start, length)
	if err != nil {
		return err
	}
	z, err := newEncoder(zstd.WithEncoderConcurrency(1), zstd.WithEncoderDictRaw(0, window))
	if err != nil {
		return err
	}
	frame := z.EncodeAll(data, nil)
	if again, err := decode(nil, frame, window, int64(len(data))); err == nil && bytes.Equal(again, data) {
		s.frame, s.Start, s.Window = frame, start, length
	}
	return nil
}

// around is the window of the base's file at the same relative position as the
// segment in its own file, as if additions and removals were distributed evenly.
func (s *segment) around() (start, length int64) {
	if s.file.From == "" {
		return 0, 0
	}
	size, length := s.file.FromSize, min(windowBytes, s.file.FromSize)
	middle := uint64(int64(s.number)*SegmentBytes + s.plain()/2) //nolint:gosec // within the file
	hi, lo := bits.Mul64(middle, uint64(size))                   //nolint:gosec // a size
	quotient, _ := bits.Div64(hi, lo, uint64(s.file.Size))       //nolint:gosec // a size
	start = int64(quotient) - length/2                           //nolint:gosec // within the base's file
	return min(max(start, 0), size-length), length
}

func load(open func() (Reader, error), offset, length int64) (data []byte, err error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data = make([]byte, length)
	return data, readAt(f, data, offset)
}

func newEncoder(options ...zstd.EOption) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, append(options, zstd.WithEncoderLevel(level), zstd.WithWindowSize(encoderWindow),
		zstd.WithEncoderCRC(false))...) // what a piece makes is hashed
}
