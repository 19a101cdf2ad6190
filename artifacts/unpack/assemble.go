package unpack

import (
	"context"
	"errors"
	"os"
)

// A Fill writes what belongs into f, the new and empty file of e, which it may
// read again but must not close. It is called by several goroutines.
type Fill func(ctx context.Context, e *Entry, f *os.File) error

// Assemble makes dir, which must be as for [Tar], the tree that entries
// describe, and has fill write its files. The rules are those of [ReadIndex],
// and the limits those of opt.
//
// What entries may not say is a [*RefusedError]; errors of fill are passed on
// and those of the disk wrapped. What fill writes is not looked at: whether it
// has the size and the hash of the entry is for fill to find out. Nothing is
// written any more once Assemble has returned.
func Assemble(ctx context.Context, dir *os.Root, entries []Entry, opt Options, fill Fill) error {
	tree := newTree(opt.Limits)
	for i := range entries {
		if err := tree.addListed(&entries[i]); err != nil {
			return err
		}
	}
	if err := tree.judgeLinks(); err != nil {
		return err
	}
	err := write(ctx, dir, opt, func(ctx context.Context, out *output) error {
		return assemble(ctx, tree, out, fill)
	})
	if err != nil {
		return err
	}
	return makeLinks(ctx, dir, tree)
}

// An assembly makes directories as they come and hands files to the writers, a
// few neighbours at a time.
type assembly struct {
	out   *output
	fill  Fill
	at    *place
	batch []*Entry
	bytes int64 // of the batch
}

func assemble(ctx context.Context, from *tree, out *output, fill Fill) error {
	at, err := newPlace(out.dir)
	if err != nil {
		return err
	}
	a := &assembly{out: out, fill: fill, at: at}
	return errors.Join(a.run(ctx, from), at.close())
}

func (a *assembly) run(ctx context.Context, from *tree) error {
	for _, n := range from.index {
		var err error
		switch n.Type {
		case TypeDir:
			err = a.at.mkdir(&n.Entry)
		case TypeFile:
			err = a.add(ctx, &n.Entry)
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
	return send(ctx, a.out.jobs, func(at *place) error {
		for _, e := range batch {
			if err := a.file(ctx, at, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *assembly) file(ctx context.Context, at *place, e *Entry) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f, err := at.createFile(e)
	if err != nil {
		return err
	}
	err = a.fill(ctx, e, f)
	writeBack(int(f.Fd()), 0, int(e.Size)) //nolint:gosec // a descriptor fits, and so does a file
	return errors.Join(err, f.Close())
}
