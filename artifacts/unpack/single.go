package unpack

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sync/errgroup"
)

// File stores the Data of the frames that next yields, one after the other, as
// name in dir: an executable with mode 0755, whose one entry the caller knows.
//
// The pieces are written in parallel and as they are, each released once it is
// written; whole pages on page boundaries pass the page cache by. next is used
// as [Frames] does, and the errors are those of [Tar].
func File(ctx context.Context, next func(context.Context) (Frame, error), dir *os.Root, name string, opt Options) error {
	if clean, err := cleanPath(name); err != nil || path.Base(clean) != name {
		return refuse(name, "is no plain file name")
	}
	e := &Entry{Path: name, Type: TypeFile, Mode: 0o755, Size: opt.Bytes}
	if _, err := newTree(opt.Limits).add(e); err != nil {
		return err
	}
	at, err := newPlace(dir)
	if err != nil {
		return err
	}
	f, err := at.createFile(e)
	if err := errors.Join(err, at.close()); err != nil {
		return err
	}
	large := newLargeFile(f, opt.Bytes)
	return errors.Join(large.fill(ctx, opt.writers(), next), large.Close())
}

// fill appends pieces until there are no more. The first failure stops it;
// when fill returns, nothing is written any more.
func (l *largeFile) fill(ctx context.Context, writers int, next func(context.Context) (Frame, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	err := l.dispatch(ctx, group, next)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (l *largeFile) dispatch(ctx context.Context, group *errgroup.Group, next func(context.Context) (Frame, error)) error {
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
			piece.done()
			return err
		}
		group.Go(func() error {
			defer piece.done()
			return l.writeAt(piece.Data, at)
		})
	}
	return context.Cause(ctx)
}
