package unpack

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Parts are where the files of an assembled tree come from.
type Parts struct {
	Base *os.Root // a tree that is here already
	// Find names the file of Base that should have the bytes of e, if one should.
	Find func(e *Entry) (path string, ok bool)
	// Make writes any other file of more than no bytes into f, which is new and
	// empty, and holds it against e. It must not close f.
	Make func(ctx context.Context, e *Entry, f *os.File) error
}

// AlteredError tells that a file of [Parts.Base] is not what it should be, or
// cannot be read.
type AlteredError struct {
	Path string // of the base
	Err  error
}

func (e *AlteredError) Error() string {
	return fmt.Sprintf("%s is not what it should be: %v", e.Path, e.Err)
}

// Assemble makes dir, which must be as for [Tar], the tree that entries
// describe. The rules are those of [ReadIndex], and the limits those of opt.
// What is taken from the base is hashed as it lands in dir.
//
// What entries may not say is a [*RefusedError]; a base that will not do is an
// [*AlteredError]. Find and Make are called by several goroutines; errors of
// Make are passed on and those of the disk wrapped. Nothing is written any more
// once Assemble has returned.
func Assemble(ctx context.Context, dir *os.Root, entries []Entry, from Parts, opt Options) error {
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
		return assemble(ctx, tree, out, from)
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
	from  Parts
	at    *place
	batch []*Entry
	bytes int64 // of the batch
}

func assemble(ctx context.Context, t *tree, out *output, from Parts) error {
	at, err := newPlace(out.dir)
	if err != nil {
		return err
	}
	a := &assembly{out: out, from: from, at: at}
	return errors.Join(a.run(ctx, t), at.close())
}

func (a *assembly) run(ctx context.Context, t *tree) error {
	for _, n := range t.index {
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
	s, err := a.out.take(ctx)
	if err != nil {
		return err
	}
	return send(ctx, a.out.jobs, func(at *place) error {
		defer a.out.give(s)
		return a.fill(ctx, at, batch, s)
	})
}

// fill writes a batch; s is room to work in.
func (a *assembly) fill(ctx context.Context, at *place, batch []*Entry, s *slab) error {
	base, err := newPlace(a.from.Base)
	if err != nil {
		return &AlteredError{".", err}
	}
	r := &reuse{base: base, at: at, buf: s.buf}
	for _, e := range batch {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = a.file(ctx, r, e)
		}
	}
	return errors.Join(err, base.close())
}

func (a *assembly) file(ctx context.Context, r *reuse, e *Entry) error {
	if e.Size == 0 {
		return r.empty(e)
	}
	if path, ok := a.from.Find(e); ok {
		return r.file(ctx, path, e)
	}
	f, err := r.at.createFile(e)
	if err != nil {
		return err
	}
	if err = a.from.Make(ctx, e, f); err == nil {
		writeBack(int(f.Fd()), 0, int(e.Size)) //nolint:gosec // a descriptor fits, and so does a file
	}
	return errors.Join(err, f.Close())
}
