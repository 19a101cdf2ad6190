package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// WriteSingle makes dir, which must be empty, a tree of one file: the Data of
// the frames that next yields, each at its place, as name with mode 0755. They may
// come in any order, and must fill the file without gaps.
//
// The pieces are written in parallel and as they are, each released once it is
// written; whole pages on page boundaries bypass the page cache. next yields
// io.EOF after the last; it is called by one goroutine and must return when its
// context ends. Errors are those of [Write].
func WriteSingle(ctx context.Context, dir *os.Root, name string, opt Options, next func(context.Context) (Frame, error)) error {
	if clean, err := CleanPath(name); err != nil || path.Base(clean) != name {
		return Refuse(name, "is no plain file name")
	}
	e := &Entry{Path: name, Type: TypeFile, Mode: FileMode(0o755), Size: opt.Bytes}
	list := newListing(opt.Limits)
	if _, err := list.add(e); err != nil {
		return err
	}
	*e = opt.stamped(*e)
	at, err := OpenHandle(dir)
	if err != nil {
		return err
	}
	f, err := at.CreateFile(e)
	if err := errors.Join(err, at.Close()); err != nil {
		return err
	}
	large := NewLargeFile(f, e)
	if err := errors.Join(large.fill(ctx, newOutput(dir, opt).writers, next, asItIs), large.Close()); err != nil {
		return err
	}
	return stampDirs(ctx, dir, list, opt)
}

// asItIs is a frame whose bytes are those of the file.
func asItIs(f Frame) (Piece, error) {
	return Piece{f.At, int64(len(f.Data)), func() ([]byte, func(), error) { return f.Data, f.Done, nil }}, nil
}

// fill writes pieces until there are no more. The first failure stops it;
// when fill returns, nothing is written any more.
func (l *LargeFile) fill(ctx context.Context, writers int, next func(context.Context) (Frame, error), piece func(Frame) (Piece, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	err := l.dispatch(ctx, group, next, piece)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (l *LargeFile) dispatch(ctx context.Context, group *errgroup.Group, next func(context.Context) (Frame, error), piece func(Frame) (Piece, error)) error {
	var written int64
	for ctx.Err() == nil {
		frame, err := next(ctx)
		if err == io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
			return l.checkWhole(written)
		}
		if err != nil {
			return err
		}
		p, err := piece(frame)
		if err == nil {
			written += p.Size
			err = l.makeRoom(p.At, p.Size)
		}
		if err != nil {
			frame.Done()
			return err
		}
		group.Go(func() error {
			data, used, err := p.Prepare()
			if err != nil {
				return err
			}
			defer used()
			return l.writeAt(data, p.At)
		})
	}
	return context.Cause(ctx)
}

// checkWhole compares what all pieces have together with where the last one ends.
func (l *LargeFile) checkWhole(written int64) error {
	if written != l.end {
		return fmt.Errorf("%s: pieces of %d bytes for a file of %d", l.Name(), written, l.end)
	}
	return nil
}

// A Piece is where a frame belongs in a file, and how it gets its bytes.
type Piece struct {
	At   int64 // in the file
	Size int64 // bytes
	// Prepare returns the bytes, which are Size, and releases the frame; used is called
	// once they are written. Several pieces are prepared at the same time.
	Prepare func() (data []byte, used func(), err error)
}

// WritePieces writes a file of size bytes into dir, in which it must not be, with
// mode 0644: what next yields, in any order, each as piece says. They must fill the
// file, and piece refuses one that was there already.
//
// Pieces are prepared and written in parallel, past the page cache where they are
// on page boundaries. next is as with [WriteSingle], and so are the errors.
func WritePieces(ctx context.Context, dir *os.Root, name string, size int64, next func(context.Context) (Frame, error), piece func(Frame) (Piece, error)) error {
	at, err := OpenHandle(dir)
	if err != nil {
		return err
	}
	e := &Entry{Path: name, Type: TypeFile, Mode: 0o644, Size: size}
	f, err := at.CreateFile(e)
	if err := errors.Join(err, at.Close()); err != nil {
		return err
	}
	large := NewLargeFile(f, e)
	err = large.fill(ctx, max(runtime.GOMAXPROCS(0), 2), next, piece)
	if err == nil && large.end != size {
		err = Refuse(name, "%d bytes, want %d", large.end, size)
	}
	return errors.Join(err, large.Close())
}
