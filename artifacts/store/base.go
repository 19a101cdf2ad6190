package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/delta"
	"koboshi/artifacts/unpack"
)

// BaseError tells that a file of the base of a [DeltaUpdate] is not what was
// published, or cannot be read. It is never an [ErrDisk]: the artifact itself
// may well be had.
type BaseError struct {
	Version, Path string // of the base
	Reason        string
}

func (e *BaseError) Error() string {
	return fmt.Sprintf("%s of %s is not what was published: %s", e.Path, e.Version, e.Reason)
}

// base is a release whose files are used again.
type base struct {
	Release
	tree  *os.Root
	files map[string]unpack.Entry // by SHA-256
}

// openBase believes the index beside a release no further than its marker does:
// each file that is used is hashed.
func (s *Store) openBase(r Release) (*base, error) {
	b := &base{Release: r, files: map[string]unpack.Entry{}}
	data, err := s.readMeta(r.id, indexFile, artifacts.MaxIndexBytes)
	if err == nil {
		err = artifacts.CheckSum(indexFile, data, int64(len(data)), r.made.IndexSHA256)
	}
	if err != nil {
		return nil, b.altered(indexFile, err)
	}
	entries, err := readIndex(r.Version(), data)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, known := b.files[e.SHA256]; !known && e.Type == unpack.TypeFile && e.SHA256 != "" {
			b.files[e.SHA256] = e
		}
	}
	if b.tree, err = s.root.OpenRoot(path.Join(releasesDir, r.id, treeDir)); err != nil {
		return nil, b.altered(".", err)
	}
	return b, nil
}

func (b *base) altered(path string, err error) error {
	return &BaseError{Version: b.Version(), Path: path, Reason: err.Error()}
}

func (b *base) open(e unpack.Entry) (*baseFile, error) {
	f, err := b.tree.OpenFile(e.Path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, b.altered(e.Path, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(b.altered(e.Path, cmp.Or(err, errors.New("no regular file"))), f.Close())
	}
	return &baseFile{f, b, e.Path}, nil
}

// baseFile is a file that a delta takes. Its errors are the base's.
type baseFile struct {
	file *os.File
	base *base
	path string
}

func (f *baseFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	if err != nil && err != io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
		err = f.base.altered(f.path, err)
	}
	return n, err
}

// doubt makes it the base's fault where a delta that was proven made something
// else of it than it should.
func (f *baseFile) doubt(err error) error {
	if errors.Is(err, delta.ErrBase) || errors.Is(err, artifacts.ErrIntegrity) {
		return f.base.altered(f.path, err)
	}
	return err
}

// close has nothing to say: the file was only read.
func (f *baseFile) close() { _ = f.file.Close() }
