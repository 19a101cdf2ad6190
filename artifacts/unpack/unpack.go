package unpack

import (
	"context"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
)

// What no archive may exceed, whatever its manifest says.
const (
	MaxEntries = 1 << 20   // paths in a tree; an entry costs about 400 bytes of memory
	MaxDepth   = 128       // components of a path, and of a symbolic link's target
	MaxPath    = 3840      // bytes of a path or target: with a root before it, less than the kernel's PATH_MAX
	MaxName    = 255       // bytes of one component: the kernel's NAME_MAX
	MaxHops    = 40        // links that one link may lead through: the kernel's own limit
	MaxMeta    = 256 << 10 // bytes of one PAX or GNU long name header
)

// A tar stream may be this much longer than the files in it: for headers,
// padding, PAX records and zero blocks at the end. It bounds what a stream of
// nothing but metadata can cost.
const (
	overhead         = 1 << 20
	overheadPerEntry = 8 << 10
)

// Limits are the upper limits that the signed manifest promises. The zero
// value allows nothing.
type Limits struct {
	Bytes   int64 // of all files together
	Entries int64 // paths made, directories that are only implied by a longer path included
}

// Options say how to unpack.
type Options struct {
	Limits
	Writers int  // goroutines that write; 0 means 4
	Hash    bool // put the SHA-256 of each file of an archive into the index
}

// Tar unpacks the plain tar stream r into dir, which must be empty but for
// names that an archive cannot have, and returns the index of what it made:
// parents come before their children, otherwise in the order of the archive.
//
// r is read to its end, 512 bytes at a time between files, so it should be
// buffered, as those of [Gzip], [Zstd] and [Frames] are. Memory is bounded by
// the entries and by (Writers+3) slabs of 1 MiB.
//
// An archive that is not allowed is a [*RefusedError], and so is one that ends
// too early. Errors of r and of the disk are wrapped and are never ErrRefused.
// Nothing is written any more once Tar has returned.
func Tar(ctx context.Context, r io.Reader, dir *os.Root, opt Options) ([]Entry, error) {
	tree := newTree(opt.Limits)
	err := write(ctx, dir, opt, func(ctx context.Context, out *output) error {
		return extract(ctx, newArchive(r, opt.Limits), tree, out)
	})
	if err != nil {
		return nil, err
	}
	if err := tree.judgeLinks(); err != nil {
		return nil, err
	}
	if err := makeLinks(ctx, dir, tree); err != nil {
		return nil, err
	}
	return tree.entries(), nil
}

// write runs produce beside the writers that take what it puts out. The first
// failure stops them all; when write returns, they have all returned.
func write(ctx context.Context, dir *os.Root, opt Options, produce func(context.Context, *output) error) error {
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
