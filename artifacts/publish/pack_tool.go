package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"koboshi/agent/process"
	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// tool is a program that makes compressed images, as Debian's package has it.
type tool struct {
	program, pack string // pack is the package
	format        artifacts.Format
	args          func(dir, image string) []string
	times         bool // it keeps the times of files
}

// ErrTool is a program that is not installed here.
var ErrTool = errors.New("is not installed")

// tools are the programs by kind of image. Times, owners and identifiers are fixed:
// the same tree gives the same bytes by the same version of the program.
func tools() map[string]tool {
	return map[string]tool{
		"erofs-lz4": {"mkfs.erofs", "erofs-utils", artifacts.Erofs, func(dir, image string) []string {
			return []string{"-x-1", "-T1", "--all-root", "-U00000000-0000-0000-0000-000000000000", "-zlz4hc", image, dir}
		}, false},
		"squashfs": {"mksquashfs", "squashfs-tools", artifacts.Squashfs, func(dir, image string) []string {
			return []string{dir, image, "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-b", "128K", "-all-root", "-no-xattrs", "-mkfs-time", "1"}
		}, true},
	}
}

// packByTool makes the tree in a temporary directory, and the image of it there.
func (in *Input) packByTool(ctx context.Context, by tool) (p *Packed, err error) {
	if in.opt.KeepTimes && !by.times {
		return nil, fmt.Errorf("keeping times %w: %s gives all files one", ErrInput, by.program)
	}
	if err := process.Found(by.program); err != nil {
		return nil, fmt.Errorf("%s %w: it is in the package %s", by.program, ErrTool, by.pack)
	}
	dir, err := os.MkdirTemp(in.opt.TempDir, "koboshi-image-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	entries, err := in.writeTree(ctx, dir)
	if err != nil {
		return nil, err
	}
	made := filepath.Join(dir, "image")
	args := append([]string{by.program}, by.args(filepath.Join(dir, "tree"), made)...)
	if _, err := (process.Group{}).Run(ctx, process.Command{Args: args, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}}); err != nil {
		return nil, err
	}
	return in.sealImage(ctx, made, by.format, entries)
}

// writeTree makes the tree as an instance would, and hashes its files.
func (in *Input) writeTree(ctx context.Context, dir string) (entries []tree.Entry, err error) {
	root, err := makeRoot(dir, "tree")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // a directory descriptor
	from := &imageWriter{ctx: ctx, tree: in.list, meter: meter{total: in.list.bytes(), report: in.opt.Progress}}
	listed := in.list.entries()
	opt := tree.Options{Limits: tree.Limits{Bytes: in.list.bytes(), Entries: tree.MaxEntries}, Time: imageTime, KeepTimes: in.opt.KeepTimes, Hash: true}
	entries, err = tree.Write(ctx, root, opt, func(ctx context.Context, w *tree.Writer) error {
		for i := range listed {
			if err := from.add(ctx, w, &listed[i], i); err != nil {
				return err
			}
		}
		return nil
	})
	return entries, errors.Join(err, in.list.settled(in.list.watched), root.Chmod(".", tree.DirMode))
}

func (w *imageWriter) add(ctx context.Context, to *tree.Writer, e *tree.Entry, number int) error {
	if e.Type != tree.TypeFile {
		return to.Add(ctx, e, nil)
	}
	f, err := w.open(number)
	if err != nil {
		return err
	}
	err = to.Add(ctx, e, f)
	w.meter.add(e.Size)
	return errors.Join(err, f.Close())
}

// sealImage copies an image that was made of a tree, and checks that it is one, as an
// instance would.
func (in *Input) sealImage(ctx context.Context, path string, name artifacts.Format, entries []tree.Entry) (p *Packed, err error) {
	f, err := os.Open(path) //nolint:gosec // in our own directory
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	how, err := format.Of(artifacts.Artifact{Format: name})
	if err != nil {
		return nil, err
	}
	ready := &Input{path: path, file: f, info: info, opt: Options{TempDir: in.opt.TempDir}}
	ready.image, _ = how.(format.Image)
	if p, err = ready.packImage(ctx); err != nil {
		return nil, err
	}
	if p.index, err = writeIndex(entries); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if diff := tree.Difference(withoutHashes(entries), p.entries); !diff.Clean() {
		err := fmt.Errorf("the image is not of the tree: %d altered, %d added, %d removed", len(diff.Altered), len(diff.Added), len(diff.Removed))
		return nil, errors.Join(err, p.Close())
	}
	p.entries = nil // the index has them
	return p, nil
}

func withoutHashes(entries []tree.Entry) []tree.Entry {
	all := make([]tree.Entry, len(entries))
	for i, e := range entries {
		e.SHA256, e.Offset = "", 0
		all[i] = e
	}
	return all
}
