package tree

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
)

// A Writer makes directories as they are added and hands files to its
// goroutines. Links wait: nothing can lead through a link that is not there.
type Writer struct {
	list *listing
	at   *DirHandle
	out  *output
}

// Write makes dir, which must be empty, the tree of the entries that produce
// adds, and returns its index, unless opt says Bare: parents come before their
// children, otherwise in the order in which they were added.
//
// Memory is bounded by the entries and by (Writers+3) buffers of 1 MiB. What is
// not allowed is a [*RefusedError]; errors of produce are passed on and those
// of the disk wrapped. Nothing is written any more once Write has returned.
func Write(ctx context.Context, dir *os.Root, opt Options, produce func(context.Context, *Writer) error) ([]Entry, error) {
	list := newListing(opt.Limits)
	err := run(ctx, dir, opt, func(ctx context.Context, out *output) error {
		at, err := OpenHandle(dir)
		if err != nil {
			return err
		}
		w := &Writer{list: list, at: at, out: out}
		if err = produce(ctx, w); err == nil {
			err = out.flush(ctx)
		}
		return errors.Join(err, at.Close())
	})
	if err != nil {
		return nil, err
	}
	if err := list.checkLinks(ctx); err != nil {
		return nil, err
	}
	if err := finish(ctx, dir, list, opt); err != nil {
		return nil, err
	}
	if opt.Bare {
		return nil, nil
	}
	return list.entries(), nil
}

// run runs produce next to the goroutines that write what it puts out. The
// first failure stops them all; when run returns, they have all returned.
func run(ctx context.Context, dir *os.Root, opt Options, produce func(context.Context, *output) error) error {
	group, ctx := errgroup.WithContext(ctx)
	out := newOutput(dir, opt)
	for range out.writers {
		group.Go(out.write)
	}
	group.Go(func() error {
		defer close(out.jobs)
		return produce(ctx, out)
	})
	return group.Wait()
}

// Add adds an entry whose path and link were cleaned. The bytes of a file are
// read from body, all of them, before Add returns.
func (w *Writer) Add(ctx context.Context, e *Entry, body io.Reader) error {
	added, err := w.list.add(e)
	if err != nil {
		return err
	}
	for _, n := range added {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch n.Type {
		case TypeDir:
			e := n.entry()
			err = w.at.mkdir(&e)
		case TypeFile:
			err = w.out.file(ctx, pending{w.out.stamped(n.entry()), &n.SHA256}, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finish makes the links of a tree whose links were checked, and then sets the
// times of its directories.
func finish(ctx context.Context, dir *os.Root, l *listing, opt Options) error {
	if err := makeLinks(ctx, dir, l, opt); err != nil {
		return err
	}
	return stampDirs(ctx, dir, l, opt)
}

func makeLinks(ctx context.Context, dir *os.Root, l *listing, opt Options) error {
	at, err := OpenHandle(dir)
	if err != nil {
		return err
	}
	target, err := OpenHandle(dir)
	if err != nil {
		return errors.Join(err, at.Close())
	}
	for _, n := range l.order {
		if err = context.Cause(ctx); err != nil {
			break
		}
		switch e := opt.stamped(n.entry()); n.Type {
		case TypeSymlink:
			err = at.symlink(&e)
		case TypeHardlink:
			err = at.hardlink(&e, target)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, at.Close(), target.Close())
}
