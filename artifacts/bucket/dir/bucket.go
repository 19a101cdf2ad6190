package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"koboshi/artifacts/bucket"
	"koboshi/artifacts/durable"
)

const lockName = ".koboshi.lock"

// Bucket is a directory, beneath a prefix that is put before every key. It
// holds nothing open between calls.
type Bucket struct {
	path   string
	prefix string // "" or with a slash at its end
}

var _ bucket.Bucket = (*Bucket)(nil)

// New is the bucket at path, which must exist by the time it is used. The
// directories of prefix are made by the first write.
func New(path, prefix string) *Bucket {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Bucket{path: path, prefix: prefix}
}

// Get implements [bucket.Bucket]. A body that loses bytes while it is read ends
// in io.ErrUnexpectedEOF.
func (b *Bucket) Get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	body, object, err := b.get(ctx, key, r)
	if err != nil {
		return nil, bucket.Object{}, b.failed("get", key, err)
	}
	return body, object, nil
}

func (b *Bucket) get(ctx context.Context, key string, r bucket.Range) (io.ReadCloser, bucket.Object, error) {
	root, err := b.open(ctx, key)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	defer func() { _ = root.Close() }()
	f, object, err := b.openObject(root, key)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	if r.ETag != "" && r.ETag != object.ETag {
		return nil, bucket.Object{}, errors.Join(bucket.ErrChanged, f.Close())
	}
	if r.Unless == object.ETag {
		return nil, bucket.Object{}, errors.Join(bucket.ErrUnchanged, f.Close())
	}
	length, err := r.Of(object.Size)
	if err != nil {
		return nil, bucket.Object{}, errors.Join(err, f.Close())
	}
	return &body{ctx: ctx, file: f, at: r.Offset, left: length}, object, nil
}

// openObject does not wait for a FIFO's writer, and takes regular files only.
func (b *Bucket) openObject(root *os.Root, key string) (*os.File, bucket.Object, error) {
	f, err := root.OpenFile(b.prefix+key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, bucket.Object{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", bucket.ErrNotFound)
	}
	if err != nil {
		return nil, bucket.Object{}, errors.Join(err, f.Close())
	}
	return f, describe(key, info), nil
}

// describe makes the ETag of what differs between two files: every write
// makes a new inode, and gives it a time of its own.
func describe(key string, info fs.FileInfo) bucket.Object {
	var inode uint64
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	etag := fmt.Sprintf(`"%x-%x-%x"`, inode, info.Size(), info.ModTime().UnixNano())
	return bucket.Object{Key: key, Size: info.Size(), ETag: etag, Modified: info.ModTime().UTC()}
}

func (b *Bucket) open(ctx context.Context, key string) (*os.Root, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if name := b.prefix + key; !fs.ValidPath(name) || name == "." || hidden(name) {
		return nil, errors.New("not a key of a directory")
	}
	return os.OpenRoot(b.path)
}

// hidden are the names that the bucket keeps to itself.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == lockName || strings.HasPrefix(part, durable.TempPrefix) {
			return true
		}
	}
	return false
}

// failed adds what was tried, in the same words for every store.
func (b *Bucket) failed(op, key string, err error) error {
	name := path.Join(b.path, b.prefix+key)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s %s: %w: %w", op, name, bucket.ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s %s: %w: %w", op, name, bucket.ErrDenied, err)
	}
	return fmt.Errorf("%s %s: %w", op, name, err)
}
