package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"koboshi/artifacts"
	"koboshi/artifacts/unpack"
)

// BaseError tells that a file of the base of a [TopUp] is not what was
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
	if b.tree, err = s.root.OpenRoot(path.Join(releasesDir, r.id)); err != nil {
		return nil, b.altered(".", err)
	}
	return b, nil
}

func (b *base) altered(path string, err error) error {
	return &BaseError{Version: b.Version(), Path: path, Reason: err.Error()}
}

// open opens a file of the base. Whatever is in its place now is no reason to
// wait, and nothing outside of the release.
func (b *base) open(e unpack.Entry) (*baseFile, error) {
	f, err := b.tree.OpenFile(e.Path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, b.altered(e.Path, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("no regular file")
	case info.Size() != e.Size:
		err = fmt.Errorf("%d bytes, want %d", info.Size(), e.Size)
	}
	if err != nil {
		return nil, errors.Join(b.altered(e.Path, err), f.Close())
	}
	return &baseFile{f, b, e.Path}, nil
}

// baseFile is a file whose read errors are the base's.
type baseFile struct {
	file *os.File
	base *base
	path string
}

func (f *baseFile) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	return n, f.blame(err)
}

func (f *baseFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	return n, f.blame(err)
}

func (f *baseFile) blame(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // an error that wraps EOF is none of a clean end
		return err
	}
	return f.base.altered(f.path, err)
}

// close has nothing to say: the file was only read.
func (f *baseFile) close() { _ = f.file.Close() }
