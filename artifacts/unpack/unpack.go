package unpack

import (
	"archive/tar"
	"context"
	"io"
	"os"

	"koboshi/artifacts/tree"
)

// MaxMeta is how many bytes one PAX or GNU long name header may have.
const MaxMeta = 256 << 10

// A tar stream may be this much longer than the files in it: for headers,
// padding, PAX records and zero blocks at the end. It bounds what a stream of
// nothing but metadata can cost.
const (
	overhead         = 1 << 20
	overheadPerEntry = 8 << 10
)

// Tar unpacks the plain tar stream r into dir, which must be empty, and returns
// the index of what it made, as [tree.Write] does.
//
// r is read to its end, 512 bytes at a time between files, so it should be
// buffered, as those of [Gzip], [Zstd] and [Frames] are.
//
// An archive that is not allowed is a [*tree.RefusedError], and so is one that
// ends too early. Errors of r and of the disk are wrapped and are never
// tree.ErrRefused. Nothing is written any more once Tar has returned.
func Tar(ctx context.Context, r io.Reader, dir *os.Root, opt tree.Options) ([]tree.Entry, error) {
	return tree.Write(ctx, dir, opt, func(ctx context.Context, w *tree.Writer) error {
		from := newArchive(r, opt.Limits)
		for ctx.Err() == nil {
			hdr, err := from.next()
			if hdr == nil || err != nil {
				return err
			}
			if err := add(ctx, w, hdr, from, opt.KeepTimes); err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
}

func add(ctx context.Context, w *tree.Writer, hdr *tar.Header, from *archive, keepTimes bool) error {
	e, err := entryOf(hdr)
	if err != nil {
		return err
	}
	if e.Type == tree.TypeFile {
		e.Offset = from.src.n
	}
	if keepTimes && e.Type != tree.TypeHardlink {
		e.Time = tree.Seconds(hdr.ModTime)
	}
	return w.Add(ctx, e, from)
}
