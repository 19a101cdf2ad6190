package delta

import (
	"context"
	"errors"
	"fmt"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/tree"
)

// Rebuild makes dir, which must be empty, the tree that entries describe, from
// the files of a tree that has most of them, and from fetched, where the name of
// a file is its SHA-256. Every byte is hashed as it is written.
//
// Errors are [*BaseError] for a base that was changed, artifacts.ErrIntegrity
// for a fetched file with another hash than its name, and tree.ErrRefused for
// entries that are not allowed. Errors of the disk are wrapped.
func Rebuild(ctx context.Context, dir *os.Root, entries []tree.Entry, base Tree, fetched *os.Root, opt tree.Options) error {
	paths := map[string]string{} // in the base, by SHA-256
	for _, e := range base.Entries {
		if e.Type == tree.TypeFile && e.SHA256 != "" {
			paths[e.SHA256] = e.Path
		}
	}
	return tree.Assemble(ctx, dir, entries, opt, func(ctx context.Context, at *tree.DirHandle, files []*tree.Entry, buf []byte) error {
		from, err := tree.OpenHandle(base.Root)
		if err != nil {
			return &BaseError{".", err}
		}
		spare, err := tree.OpenHandle(fetched)
		if err != nil {
			return errors.Join(err, from.Close())
		}
		r := rebuild{paths, &copier{base: from, at: at, buf: buf}, &copier{base: spare, at: at, buf: buf}}
		for _, e := range files {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err == nil {
				err = r.file(ctx, e)
			}
		}
		return errors.Join(err, from.Close(), spare.Close())
	})
}

type rebuild struct {
	paths         map[string]string
	base, fetched *copier
}

func (r rebuild) file(ctx context.Context, e *tree.Entry) error {
	if e.Size == 0 {
		return writeEmpty(r.base.at, e)
	}
	if path, ok := r.paths[e.SHA256]; ok {
		return r.base.file(ctx, path, e)
	}
	err := r.fetched.file(ctx, e.SHA256, e)
	if bad, ok := errors.AsType[*BaseError](err); ok {
		return fmt.Errorf("%w: the bytes of %s in the artifact are not those of its index: %w", artifacts.ErrIntegrity, e.Path, bad.Err)
	}
	return err
}
