package dir

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"koboshi/artifacts/bucket"
)

// List implements [bucket.Bucket].
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		objects, err := b.list(ctx, prefix)
		if err != nil {
			yield(bucket.Object{}, b.failed("list", prefix, err))
			return
		}
		for _, object := range objects {
			if !yield(object, nil) {
				return
			}
		}
	}
}

func (b *Bucket) list(ctx context.Context, prefix string) ([]bucket.Object, error) {
	root, err := os.OpenRoot(b.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	var objects []bucket.Object
	err = fs.WalkDir(root.FS(), start(b.prefix+prefix), func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) || hidden(name) {
			return nil
		}
		if err != nil || !strings.HasPrefix(name, b.prefix+prefix) {
			return err
		}
		info, err := root.Stat(name)
		if err == nil && info.Mode().IsRegular() {
			objects = append(objects, describe(strings.TrimPrefix(name, b.prefix), info))
		}
		return ignoreMissing(err)
	})
	slices.SortFunc(objects, func(x, y bucket.Object) int { return strings.Compare(x.Key, y.Key) })
	return objects, err
}

// start is the deepest directory that contains everything with the prefix.
func start(prefix string) string {
	directory := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if directory = strings.TrimSuffix(directory, "/"); fs.ValidPath(directory) {
		return directory
	}
	return "."
}

// ignoreMissing: what was renamed or removed during the walk is not there.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
