package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// Options say how to pack. The zero value is usable.
type Options struct {
	TempDir  string                  // for the artifact, and for trying a ready archive; "" = the system's
	Progress func(done, total int64) // of the bytes that are read; from one goroutine
}

// Packed is an artifact that can be released: its bytes, which cannot change any
// more, and its part of the manifest. It must be closed.
type Packed struct {
	artifact  artifacts.Artifact // without keys: they come with app and version
	index     []byte             // nil for a single file
	file      *os.File           // has no name, so nothing is left behind
	deltas    []*packedDelta
	extracted *extracted // for deltas; nil until one is made
}

// Artifact is what the manifest will say, but for the keys.
func (p *Packed) Artifact() artifacts.Artifact { return p.artifact }

// Index is the compressed index of the tree, nil for a single file.
func (p *Packed) Index() []byte { return p.index }

// ReadAt reads the artifact's bytes.
func (p *Packed) ReadAt(b []byte, offset int64) (int, error) { return p.file.ReadAt(b, offset) }

// Close releases the disk space.
func (p *Packed) Close() error {
	err := p.file.Close()
	for _, d := range p.deltas {
		err = errors.Join(err, d.file.Close())
	}
	if p.extracted != nil {
		err = errors.Join(err, p.extracted.Close())
	}
	return err
}

// Pack makes the artifact for platform ("linux/amd64") of what is at path: a
// directory, a ready .tar.gz, .tgz or .tar.zst, or any other regular file,
// which then is the one executable. What every instance would refuse is refused
// with tree.ErrRefused; something that changes meanwhile is [ErrModified].
//
// The bytes for a directory depend on nothing but names, contents, permissions
// and links, and on the version of koboshi.
func Pack(ctx context.Context, platform, path string, opt Options) (*Packed, error) {
	goos, arch, _ := strings.Cut(platform, "/")
	if artifacts.CheckName(goos) != nil || artifacts.CheckName(arch) != nil {
		return nil, fmt.Errorf("platform %q, want one such as linux/amd64", platform)
	}
	p, err := packPath(ctx, path, opt)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", path, err)
	}
	p.artifact.OS, p.artifact.Arch = goos, arch
	return p, nil
}

// packPath opens the path once; what is packed is what was opened.
func packPath(ctx context.Context, path string, opt Options) (*Packed, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's own path; a FIFO must not hang
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return packDir(ctx, path, info, opt)
	case !info.Mode().IsRegular():
		return nil, errors.New("neither a directory nor a regular file")
	}
	ready, err := format.ByName(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return packFile(ctx, f, info, ready.Info().Name, opt)
}

func packDir(ctx context.Context, path string, info fs.FileInfo, opt Options) (*Packed, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	if opened, err := root.Stat("."); err != nil || !os.SameFile(opened, info) {
		return nil, errors.Join(ErrModified, err)
	}
	return packTree(ctx, root, opt)
}

// ErrModified is something that changed while it was packed.
var ErrModified = errors.New("changed while it was packed")

// unchanged compares what a file was with what it is.
func unchanged(name string, was, is fs.FileInfo) error {
	if !os.SameFile(was, is) || was.Size() != is.Size() || was.Mode() != is.Mode() || !was.ModTime().Equal(is.ModTime()) {
		return fmt.Errorf("%s %w", name, ErrModified)
	}
	return nil
}

// refused adds to a refusal that every instance would refuse as well.
func refused(err error) error {
	if errors.Is(err, tree.ErrRefused) {
		return fmt.Errorf("would be refused on every instance: %w", err)
	}
	return err
}
