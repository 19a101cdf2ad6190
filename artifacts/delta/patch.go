package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// A patcher makes files from pieces, one at a time, in buffers that it keeps:
// 16 MiB at most. The zero value is ready.
type patcher struct{ frame, window, plain []byte }

// file writes the file that piece, one of d, makes. base is the file of piece.From,
// and may be nil where that is empty.
//
// A base with which a frame does not decode is [ErrBase]; a base that decodes to
// wrong bytes is not noticed here but by their hash. A broken frame is
// [ErrMalformed]. Errors of w and base are passed on.
func (p *patcher) file(ctx context.Context, d *Delta, piece Piece, w io.Writer, base io.ReaderAt) error {
	for i, s := range piece.Segments {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.segment(d, s, plain(piece.Size, i), base); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		if _, err := w.Write(p.plain); err != nil {
			return err
		}
	}
	return nil
}

// segment decodes one segment into p.plain.
func (p *patcher) segment(d *Delta, s Segment, size int64, base io.ReaderAt) (err error) {
	p.frame = sized(p.frame, s.Packed)
	if err := readAt(d.object, p.frame, s.offset); err != nil {
		return fmt.Errorf("read the delta: %w", err)
	}
	if s.Window == 0 {
		p.plain, err = decode(p.plain, p.frame, nil, size)
		return err
	}
	p.window = sized(p.window, s.Window)
	if err := readAt(base, p.window, s.Start); errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: too short", ErrBase)
	} else if err != nil {
		return err
	}
	if p.plain, err = decode(p.plain, p.frame, p.window, size); err != nil {
		return fmt.Errorf("%w: %w", ErrBase, err) // the delta was verified, so it is the base
	}
	return nil
}

// sized is buf with n bytes of any content.
func sized(buf []byte, n int64) []byte { return slices.Grow(buf[:0], int(n))[:n] }

// slack lets the decoder copy in whole words up to the end of a buffer.
const slack = 64

// decode decodes a frame, into buf if it fits, with window as its dictionary.
func decode(buf, frame, window []byte, size int64) ([]byte, error) {
	options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(encoderWindow), zstd.WithDecodeAllCapLimit(true)}
	if window != nil {
		options = append(options, zstd.WithDecoderDictRaw(0, window))
	}
	z, err := zstd.NewReader(nil, options...)
	if err != nil {
		return buf, err
	}
	defer z.Close()
	buf = slices.Grow(buf[:0], int(size)+slack)
	data, err := z.DecodeAll(frame, buf[:0:size+slack])
	if err != nil {
		return buf, malformed("%v", err)
	}
	if int64(len(data)) != size {
		return buf, malformed("%d bytes, want %d", len(data), size)
	}
	return data, nil
}
