package tree

import (
	"context"
	"errors"
	"os"
)

// A FilesWriter writes files through at. They are neighbours; buf is 1 MiB of
// working memory, on a page boundary.
type FilesWriter func(ctx context.Context, at *DirHandle, files []*Entry, buf []byte) error

// Assemble makes dir, which must be empty, the tree that entries describe. The
// rules are those of [ReadIndex], and the limits those of opt; entries that they
// do not allow are a [*RefusedError] before anything is made.
//
// write is called by several goroutines, and must compare the bytes with the
// entries. Its errors are passed on and those of the disk wrapped. Nothing is
// written any more once Assemble has returned.
func Assemble(ctx context.Context, dir *os.Root, entries []Entry, opt Options, write FilesWriter) error {
	list := newListing(opt.Limits)
	for i := range entries {
		if err := list.addIndexed(&entries[i]); err != nil {
			return err
		}
	}
	if err := list.checkLinks(ctx); err != nil {
		return err
	}
	err := run(ctx, dir, opt, func(ctx context.Context, out *output) error {
		at, err := OpenHandle(dir)
		if err != nil {
			return err
		}
		a := &assembly{out: out, write: write, at: at}
		return errors.Join(a.run(ctx, list), at.Close())
	})
	if err != nil {
		return err
	}
	return finish(ctx, dir, list, opt)
}

// An assembly makes directories as they come and hands files to the writers, a
// few neighbours at a time.
type assembly struct {
	out   *output
	write FilesWriter
	at    *DirHandle
	batch []*Entry
	bytes int64 // of the batch
}

func (a *assembly) run(ctx context.Context, l *listing) error {
	for _, n := range l.order {
		err := context.Cause(ctx)
		switch e := a.out.stamped(n.entry()); {
		case err != nil:
		case n.Type == TypeDir:
			err = a.at.mkdir(&e)
		case n.Type == TypeFile:
			err = a.add(ctx, &e)
		}
		if err != nil {
			return err
		}
	}
	return a.flush(ctx)
}

func (a *assembly) add(ctx context.Context, e *Entry) error {
	a.batch, a.bytes = append(a.batch, e), a.bytes+e.Size
	if len(a.batch) < batchFiles && a.bytes < batchBytes {
		return nil
	}
	return a.flush(ctx)
}

func (a *assembly) flush(ctx context.Context) error {
	batch := a.batch
	a.batch, a.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	b, err := a.out.take(ctx)
	if err != nil {
		return err
	}
	return send(ctx, a.out.jobs, func(at *DirHandle) error {
		defer a.out.give(b)
		return a.write(ctx, at, batch, b.data)
	})
}
