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
	if err := errors.Join(large.fill(ctx, newOutput(dir, opt).writers, next), large.Close()); err != nil {
		return err
	}
	return stampDirs(ctx, dir, list, opt)
}

// fill writes pieces until there are no more. The first failure stops it;
// when fill returns, nothing is written any more.
func (l *LargeFile) fill(ctx context.Context, writers int, next func(context.Context) (Frame, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	place := func(f Frame) (int64, int) { return f.At, len(f.Data) }
	err := l.dispatch(ctx, group, next, place, func(_ int, f Frame) ([]byte, func(), error) { return f.Data, f.Done, nil })
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (l *LargeFile) dispatch(ctx context.Context, group *errgroup.Group, next func(context.Context) (Frame, error), place func(Frame) (int64, int), prepare func(int, Frame) ([]byte, func(), error)) error {
	var written int64
	for number := 0; ctx.Err() == nil; number++ {
		piece, err := next(ctx)
		if err == io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
			return l.checkWhole(written)
		}
		if err != nil {
			return err
		}
		at, n := place(piece)
		written += int64(n)
		if err := l.makeRoom(at, n); err != nil {
			piece.Done()
			return err
		}
		group.Go(func() error {
			data, used, err := prepare(number, piece)
			if err != nil {
				return err
			}
			defer used()
			return l.writeAt(data, at)
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

// WritePieces writes a file of size bytes into dir, in which it must not be, with
// mode 0644: the pieces that next yields, one after the other, each as prepare
// returns it. Of a frame these must be Plain bytes, else as many as Data has; used
// is called once they are written, and prepare releases the frame.
//
// Pieces are prepared and written in parallel, past the page cache where they are
// on page boundaries. next is as with [WriteSingle], and so are the errors.
func WritePieces(ctx context.Context, dir *os.Root, name string, size int64, next func(context.Context) (Frame, error),
	prepare func(number int, f Frame) (data []byte, used func(), err error)) error {
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
	return errors.Join(large.assemble(ctx, next, prepare), large.Close())
}

func (l *LargeFile) assemble(ctx context.Context, next func(context.Context) (Frame, error), prepare func(int, Frame) ([]byte, func(), error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(runtime.GOMAXPROCS(0), 2))
	place := func(f Frame) (int64, int) { // one after the other: only they know how long each becomes
		if f.Plain > 0 {
			return l.end, int(f.Plain)
		}
		return l.end, len(f.Data)
	}
	err := l.dispatch(ctx, group, next, place, prepare)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	if err == nil && l.end != l.entry.Size {
		err = Refuse(l.Name(), "%d bytes, want %d", l.end, l.entry.Size)
	}
	return err
}
