package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"koboshi/artifacts"
	"koboshi/artifacts/unpack"
)

// laid is the tree of an artifact in a directory that goes with it.
type laid struct {
	path    string
	root    *os.Root
	entries []unpack.Entry // with hashes
}

// executable is what the one file of an artifact is called here.
const executable = "file"

func lay(ctx context.Context, r io.Reader, format artifacts.Format, limits unpack.Limits, temp string) (*laid, error) {
	path, err := os.MkdirTemp(temp, "koboshi-tree-*")
	if err != nil {
		return nil, err
	}
	l := &laid{path: path}
	if l.root, err = os.OpenRoot(path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	if err := l.fill(ctx, r, format, limits); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *laid) Close() error { return errors.Join(l.root.Close(), os.RemoveAll(l.path)) }

func (l *laid) fill(ctx context.Context, r io.Reader, format artifacts.Format, limits unpack.Limits) (err error) {
	if format == artifacts.File {
		return l.file(r)
	}
	plain, err := decompress(r, format)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	l.entries, err = unpack.Tar(ctx, plain, l.root, unpack.Options{Limits: limits, Hash: true})
	return err
}

func (l *laid) file(r io.Reader) error {
	f, err := l.root.Create(executable)
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), r)
	l.entries = []unpack.Entry{{Path: executable, Type: unpack.TypeFile, Size: n, SHA256: hex.EncodeToString(hash.Sum(nil))}}
	return errors.Join(err, f.Close())
}
