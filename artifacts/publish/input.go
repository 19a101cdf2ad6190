package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"koboshi/artifacts"
	"koboshi/artifacts/convert"
	"koboshi/artifacts/format"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// Input is what is to be published, as it was read. It must be closed.
type Input struct {
	path     string
	opt      Options
	findings []lint.Finding
	hooks    artifacts.Hooks
	list     *listing
	file     *os.File // what is at path
	info     fs.FileInfo
	single   string           // what a single file is called in the tree
	ready    artifacts.Format // that the file can be published as it is in; empty = none
	image    format.Image     // that the file is; nil = it is none
}

// Read reads what is at path: a directory, an archive of one of the kinds of
// package convert, a ready image, or any other regular file. What is packed later is what was
// opened here.
func Read(ctx context.Context, path string, opt Options) (*Input, error) {
	in := &Input{path: path, opt: opt, hooks: opt.Hooks}
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
	case in.info.IsDir() && in.opt.Name != "":
		return errNoSingle
	case in.info.IsDir():
		return in.readDir(ctx)
	case !in.info.Mode().IsRegular():
		return errors.New("neither a directory nor a regular file")
	case in.info.Size() == 0:
		return errors.New("the file is empty")
	}
	if f := imageOf(in.path); f != nil {
		return in.readImage(ctx, f)
	}
	kind, err := convert.KindOf(filepath.Base(in.path))
	switch {
	case err != nil:
		return err
	case kind == "":
		return in.readFile(ctx)
	case in.opt.Name != "":
		return errNoSingle
	}
	return in.readArchive(ctx, kind)
}

// ErrInput is an option that is not for what is at the path.
var ErrInput = errors.New("does not fit the input")

var errNoSingle = fmt.Errorf("a name %w, which is no single file", ErrInput)

func (in *Input) readDir(ctx context.Context) error {
	root, err := os.OpenRoot(in.path)
	if err != nil {
		return err
	}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(opened, in.info) {
		return errors.Join(ErrModified, err, root.Close())
	}
	built, err := filepath.Abs(in.path)
	if err == nil {
		in.list, err = scan(ctx, root, in.opt)
	}
	if err != nil {
		return errors.Join(err, root.Close())
	}
	return in.check(ctx, built)
}

// readArchive takes a ready one as it is where nothing in it is to be changed.
func (in *Input) readArchive(ctx context.Context, kind convert.Kind) error {
	list, archive, err := listArchive(ctx, kind, in.file, in.info.Size(), in.opt)
	if err != nil {
		return err
	}
	in.list = list
	entries := len(list.files)
	if err := same(in.file, in.path, in.info); err != nil {
		return err
	}
	if err := in.check(ctx, ""); err != nil {
		return err
	}
	if archive.NoModes {
		in.findings = append(in.findings, lint.NoModes())
	}
	if ready := format.ByName(filepath.Base(in.path)); ready.Info().Indexed && in.opt.Strip == 0 && len(list.files) == entries {
		in.ready = ready.Info().Name
	}
	return nil
}

func (in *Input) readFile(ctx context.Context) error {
	name := in.opt.Name
	if name == "" {
		name = in.opt.App
	}
	if name == "" {
		name = filepath.Base(in.path)
	}
	if clean, err := tree.CleanPath(name); err != nil || clean != filepath.Base(name) {
		return fmt.Errorf("the name %q %w: want one without slashes", name, ErrInput)
	}
	if in.opt.Strip > 0 || len(in.opt.Exclude) > 0 {
		return fmt.Errorf("taking off folders or files %w, which is one file", ErrInput)
	}
	if in.opt.CodeDeploy {
		return fmt.Errorf("an appspec %w, which is one file and no bundle", ErrInput)
	}
	if (in.opt.Name == "" || in.opt.Name == in.opt.App) && !in.opt.KeepTimes { // the format of one file has no time
		in.ready = artifacts.File
	}
	in.single = name
	in.list = listSingle(in.file, in.info, name, in.opt)
	return in.lint(ctx, "")
}

// check filters and lints a tree. built is where it was made on this machine.
func (in *Input) check(ctx context.Context, built string) error {
	if err := in.list.filter(in.opt); err != nil {
		return err
	}
	return in.lint(ctx, built)
}

func (in *Input) lint(ctx context.Context, built string) (err error) {
	defer func() { lint.Sort(in.findings) }()
	in.findings, err = lint.Check(ctx, lint.Tree{KeepTimes: in.opt.KeepTimes, Built: built, Files: in.list.files, Head: in.list.head})
	switch {
	case err != nil:
		return err
	case in.opt.CodeDeploy:
		err = in.readAppspec()
	case in.single == "":
		in.noteUnread()
	}
	if err == nil {
		err = in.checkPrograms()
	}
	return err
}

// Findings are what an instance would stumble over. Errors come first: with one
// of them [Input.Pack] fails.
func (in *Input) Findings() []lint.Finding { return in.findings }

// Close closes the files.
func (in *Input) Close() error {
	var err error
	if in.list != nil {
		err = in.list.Close()
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
// A tar.zst is made of a directory and of an archive. Its bytes depend on
// nothing but names, contents, permissions and links, and on the version of
// koboshi. A tar.gz or tar.zst in which nothing is to be changed stays as it is,
// if instances can read it. So does a single file, unless a tree of it is worth
// more than it costs.
func (in *Input) Pack(ctx context.Context, platform string) (*Packed, error) {
	if err := CheckPlatform(platform); err != nil {
		return nil, err
	}
	p, err := in.pack(ctx)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", in.path, err)
	}
	in.describe(p, platform)
	return p, nil
}

// describe adds what the artifact is for.
func (in *Input) describe(p *Packed, platform string) {
	p.artifact.OS, p.artifact.Arch, _ = strings.Cut(platform, "/")
	p.artifact.KeepTimes, p.single = in.opt.KeepTimes, in.single
}

func (in *Input) pack(ctx context.Context) (*Packed, error) {
	if err := lint.Refused(in.findings); err != nil {
		return nil, refused(err)
	}
	if in.image != nil {
		return in.packImage(ctx)
	}
	switch in.ready {
	case "":
		return packTree(ctx, in.list, in.opt)
	case artifacts.File:
		return in.packSingle(ctx)
	}
	p, err := packFile(ctx, in.file, in.info, in.ready, in.opt)
	if errors.Is(err, tree.ErrRefused) { // a sparse file or a large window, for example
		return packTree(ctx, in.list, in.opt)
	}
	return p, err
}

// Platforms are those that an agent runs on.
func Platforms() []string { return []string{"linux/amd64", "linux/arm64"} }

// CheckPlatform refuses a platform that no instance can have.
func CheckPlatform(platform string) error {
	if !slices.Contains(Platforms(), platform) {
		return fmt.Errorf("platform %q: koboshi runs on %s", platform, strings.Join(Platforms(), " and "))
	}
	return nil
}

// worthTree is the part of a file, in percent, that a tree with it may be.
const worthTree = 95

// packSingle compresses a file where that is worth it.
func (in *Input) packSingle(ctx context.Context) (*Packed, error) {
	if in.opt.App != "" {
		p, err := packTree(ctx, in.list, in.opt)
		if err != nil || p.artifact.Size <= in.info.Size()*worthTree/100 {
			return p, err
		}
		if err := p.Close(); err != nil {
			return nil, err
		}
	}
	return packFile(ctx, in.file, in.info, artifacts.File, in.opt)
}
