package tree

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sync/errgroup"
)

// WriteSingle makes dir, which must be empty, a tree of one file: the Data of
// the frames that next yields, one after the other, as name with mode 0755.
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

// fill appends pieces until there are no more. The first failure stops it;
// when fill returns, nothing is written any more.
func (l *LargeFile) fill(ctx context.Context, writers int, next func(context.Context) (Frame, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	err := l.dispatch(ctx, group, next)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (l *LargeFile) dispatch(ctx context.Context, group *errgroup.Group, next func(context.Context) (Frame, error)) error {
	for ctx.Err() == nil {
		piece, err := next(ctx)
		if err == io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
			return nil
		}
		if err != nil {
			return err
		}
		at, err := l.extend(len(piece.Data))
		if err != nil {
			piece.Done()
			return err
		}
		group.Go(func() error {
			defer piece.Done()
			return l.writeAt(piece.Data, at)
		})
	}
	return context.Cause(ctx)
}
