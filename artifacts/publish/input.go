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
	"koboshi/artifacts/lint"
)

// Input is what is to be published, as it was read. It must be closed.
type Input struct {
	path     string
	opt      Options
	findings []lint.Finding
	tree     *scanned // of a directory, else nil
	file     *os.File // of anything else
	info     fs.FileInfo
	ready    artifacts.Format // of the file
}

// Read reads what is at path: a directory, a ready .tar.gz, .tgz or .tar.zst, or
// any other regular file, which then is the one executable. What is packed
// later is what was opened here.
func Read(ctx context.Context, path string, opt Options) (*Input, error) {
	in := &Input{path: path, opt: opt}
	if err := in.read(ctx); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, errors.Join(err, in.Close()))
	}
	return in, nil
}

func (in *Input) read(ctx context.Context) error {
	f, err := os.OpenFile(in.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's own path; a FIFO must not hang
	if err != nil {
		return err
	}
	in.file = f
	if in.info, err = f.Stat(); err != nil {
		return err
	}
	switch {
	case in.info.IsDir():
		return in.readDir(ctx)
	case !in.info.Mode().IsRegular():
		return errors.New("neither a directory nor a regular file")
	case in.info.Size() == 0:
		return errors.New("the file is empty")
	}
	ready, err := format.ByName(filepath.Base(in.path))
	if err == nil {
		in.ready = ready.Info().Name
	}
	return err
}

func (in *Input) readDir(ctx context.Context) error {
	root, err := os.OpenRoot(in.path)
	if err != nil {
		return err
	}
	in.tree = &scanned{root: root}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(opened, in.info) {
		return errors.Join(ErrModified, err)
	}
	built, err := filepath.Abs(in.path)
	if err != nil {
		return err
	}
	if in.tree, err = scan(ctx, root); err != nil {
		return err
	}
	in.findings, err = in.tree.lint(ctx, built)
	return err
}

// Findings are what an instance would stumble over. Errors come first: with one
// of them [Input.Pack] fails.
func (in *Input) Findings() []lint.Finding { return in.findings }

// Close closes the files.
func (in *Input) Close() error {
	var err error
	if in.tree != nil {
		err = in.tree.root.Close()
	}
	if in.file != nil {
		err = errors.Join(err, in.file.Close())
	}
	return err
}

// Pack makes the artifact for platform ("linux/amd64"). What every instance
// would refuse is refused with tree.ErrRefused; something that changes meanwhile
// is [ErrModified].
//
// The bytes for a directory depend on nothing but names, contents, permissions
// and links, and on the version of koboshi.
func (in *Input) Pack(ctx context.Context, platform string) (*Packed, error) {
	goos, arch, _ := strings.Cut(platform, "/")
	if artifacts.CheckName(goos) != nil || artifacts.CheckName(arch) != nil {
		return nil, fmt.Errorf("platform %q, want one such as linux/amd64", platform)
	}
	p, err := in.pack(ctx)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", in.path, err)
	}
	p.artifact.OS, p.artifact.Arch = goos, arch
	return p, nil
}

func (in *Input) pack(ctx context.Context) (*Packed, error) {
	if err := lint.Refused(in.findings); err != nil {
		return nil, refused(err)
	}
	if in.tree != nil {
		return packTree(ctx, in.tree, in.opt)
	}
	if _, err := in.file.Seek(0, 0); err != nil {
		return nil, err
	}
	return packFile(ctx, in.file, in.info, in.ready, in.opt)
}
