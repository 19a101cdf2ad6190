package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// The window is narrow enough that an encoder's tables remember all of it: from
// Go 1.26.7 to 1.26.8 three times as much doubled the delta.
const (
	windowBytes   = 4 << 20 // of the base, for one segment
	encoderWindow = 8 << 20 // a window and a segment, both within reach
	level         = zstd.SpeedBetterCompression
	maxWorkers    = 8 // an encoder and its buffers take about 40 MiB
)

// Reader is an open file.
type Reader interface {
	io.ReaderAt
	io.Closer
}

// File is what a delta is to make.
type File struct {
	SHA256   string // lower-case hex
	Size     int64  // at least 1
	Open     func() (Reader, error)
	From     string // SHA-256 of a file of the base that is like it, "" = none
	FromSize int64
	OpenFrom func() (Reader, error)
}

// Encode writes the delta that makes files, each of them once. done gets how
// many plain bytes were encoded, segment by segment. The same files give the same bytes.
func Encode(ctx context.Context, w io.Writer, files []File, done func(n int64)) error {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	whole, err := newEncoder(zstd.WithEncoderConcurrency(workers))
	if err != nil {
		return err
	}
	e := &encoder{w: w, done: done, whole: whole, queue: make(chan *segment, workers)}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(e.queue)
		return e.dispatch(ctx, group, files)
	})
	group.Go(func() error { return e.collect(ctx) })
	if err := group.Wait(); err != nil {
		return err
	}
	return e.finish()
}

// encoder encodes segments in parallel, as many as the queue takes, and writes
// them in order.
type encoder struct {
	w      io.Writer
	done   func(n int64)
	whole  *zstd.Encoder // without a base
	queue  chan *segment
	pieces []Piece
}

func (e *encoder) dispatch(ctx context.Context, group *errgroup.Group, files []File) error {
	for i := range files {
		for n := range segments(files[i].Size) {
			s := &segment{file: &files[i], number: int(n), whole: e.whole, ready: make(chan struct{})}
			select {
			case e.queue <- s:
				group.Go(s.encode)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

func (e *encoder) collect(ctx context.Context) error {
	for s := range e.queue {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, err := e.w.Write(s.frame); err != nil {
			return err
		}
		e.add(s)
		e.done(s.plain())
	}
	return nil
}

// add puts a segment into the directory. A file of which no segment uses the
// base gets no From.
func (e *encoder) add(s *segment) {
	if s.number == 0 {
		e.pieces = append(e.pieces, Piece{SHA256: s.file.SHA256, Size: s.file.Size})
	}
	p := &e.pieces[len(e.pieces)-1]
	p.Segments = append(p.Segments, s.Segment)
	if s.Window > 0 {
		p.From = s.file.From
	}
}

// finish writes the directory and the trailer.
func (e *encoder) finish() error {
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	for _, p := range e.pieces {
		line, err := json.Marshal(p, json.Deterministic(true))
		if err != nil {
			return err
		}
		if _, err := z.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	if packed.Len() > MaxDirectory {
		return fmt.Errorf("a directory of %d bytes, at most %d are read", packed.Len(), MaxDirectory)
	}
	trailer := append(binary.BigEndian.AppendUint64(nil, uint64(packed.Len())), magic...) //nolint:gosec // a length
	_, err = e.w.Write(append(packed.Bytes(), trailer...))
	return err
}
