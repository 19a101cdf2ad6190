package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"os"
)

// An extraction makes directories as they come and hands files to the writers.
// Links wait: nothing can lead through a link that is not there.
type extraction struct {
	from *archive
	tree *tree
	out  *output
	at   *place
}

func extract(ctx context.Context, from *archive, into *tree, out *output) error {
	at, err := newPlace(out.dir)
	if err != nil {
		return err
	}
	x := &extraction{from: from, tree: into, out: out, at: at}
	return errors.Join(x.run(ctx), at.close())
}

func (x *extraction) run(ctx context.Context) error {
	for ctx.Err() == nil {
		hdr, err := x.from.next()
		if err != nil {
			return err
		}
		if hdr == nil {
			return x.out.flush(ctx)
		}
		if err := x.entry(ctx, hdr); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (x *extraction) entry(ctx context.Context, hdr *tar.Header) error {
	e, err := entryOf(hdr)
	if err != nil {
		return err
	}
	if e.Type == TypeFile {
		e.Offset = x.from.src.n
	}
	added, err := x.tree.add(e)
	if err != nil {
		return err
	}
	for _, n := range added {
		if err := x.make(ctx, &n.Entry); err != nil {
			return err
		}
	}
	return nil
}

func (x *extraction) make(ctx context.Context, e *Entry) error {
	switch e.Type {
	case TypeDir:
		return x.at.mkdir(e)
	case TypeFile:
		return x.out.file(ctx, e, x.from)
	default:
		return nil
	}
}

// makeLinks makes the links of a tree whose links have been judged.
func makeLinks(ctx context.Context, dir *os.Root, t *tree) error {
	at, err := newPlace(dir)
	if err != nil {
		return err
	}
	target, err := newPlace(dir)
	if err != nil {
		return errors.Join(err, at.close())
	}
	for _, n := range t.index {
		if err = context.Cause(ctx); err != nil {
			break
		}
		if err = makeLink(at, target, &n.Entry); err != nil {
			break
		}
	}
	return errors.Join(err, at.close(), target.close())
}

func makeLink(at, target *place, e *Entry) error {
	switch e.Type {
	case TypeSymlink:
		return at.symlink(e)
	case TypeHardlink:
		return at.hardlink(e, target)
	default:
		return nil
	}
}
