package delta

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Make writes the file that p makes. base is the file of p.From, and may be
// nil where that is empty. At most 16 MiB are held at a time.
//
// A base that cannot be what it was is [ErrBase], though one that is found out
// only by the hash of what it made is none; a frame that is broken is
// [ErrMalformed]. Errors of w and base are passed on.
func (d *Delta) Make(ctx context.Context, p Piece, w io.Writer, base io.ReaderAt) error {
	for i, s := range p.Segments {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		data, err := d.segment(s, plain(p.Size, i), base)
		if err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

func (d *Delta) segment(s Segment, size int64, base io.ReaderAt) ([]byte, error) {
	frame := make([]byte, s.Packed)
	if err := readAt(d.object, frame, s.offset); err != nil {
		return nil, fmt.Errorf("read the delta: %w", err)
	}
	if s.Window == 0 {
		return decode(frame, nil, size)
	}
	window := make([]byte, s.Window)
	if err := readAt(base, window, s.Start); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: too short", ErrBase)
	} else if err != nil {
		return nil, err
	}
	data, err := decode(frame, window, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBase, err) // the delta was proven, so it is the base
	}
	return data, nil
}

// slack lets the decoder copy in whole words up to the end of a buffer.
const slack = 64

// decode takes a frame apart, with window as its dictionary.
func decode(frame, window []byte, size int64) ([]byte, error) {
	options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(encoderWindow), zstd.WithDecodeAllCapLimit(true)}
	if window != nil {
		options = append(options, zstd.WithDecoderDictRaw(0, window))
	}
	z, err := zstd.NewReader(nil, options...)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	data, err := z.DecodeAll(frame, make([]byte, 0, size+slack))
	if err != nil {
		return nil, malformed("%v", err)
	}
	if int64(len(data)) != size {
		return nil, malformed("%d bytes, want %d", len(data), size)
	}
	return data, nil
}
