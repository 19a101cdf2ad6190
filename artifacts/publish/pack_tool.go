package publish

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"koboshi/agent/process"
	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/tree"
)

// tool is a program that makes compressed images, as Debian's package has it.
type tool struct {
	program, pack string // pack is the package
	since         [2]int // the first version that will do; zero = any
	args          func(dir, image string) []string
	times         bool // it keeps the times of files
}

// ErrTool is a program that is not installed here.
var ErrTool = errors.New("is not installed")

// tools are the programs by kind of image, which is its format. Times, owners and
// identifiers are fixed: the same tree gives the same bytes by the same version of the
// program.
func tools() map[string]tool {
	erofs := func(how ...string) func(dir, image string) []string {
		return func(dir, image string) []string {
			return append(append([]string{"-x-1", "-T1", "--all-root", "-U00000000-0000-0000-0000-000000000000"}, how...), image, dir)
		}
	}
	return map[string]tool{
		string(artifacts.ErofsLZ4): {program: "mkfs.erofs", pack: "erofs-utils", args: erofs("-zlz4hc")},
		// Ends of files, and small files, are compressed together: without that images are a third larger.
		string(artifacts.ErofsZstd): {program: "mkfs.erofs", pack: "erofs-utils", since: [2]int{1, 8}, args: erofs("-b4096", "-zzstd,level=6", "-C131072", "-Efragments")},
		string(artifacts.Squashfs): {program: "mksquashfs", pack: "squashfs-tools", times: true, args: func(dir, image string) []string {
			return []string{dir, image, "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-b", "128K", "-all-root", "-no-xattrs", "-mkfs-time", "1"}
		}},
	}
}

// versionTime is how long a program may take to say its version.
const versionTime = 10 * time.Second

// check is ErrTool where the program, or a version that will do, is not installed.
func (t tool) check(ctx context.Context) error {
	if err := process.Found(t.program); err != nil {
		return fmt.Errorf("%s %w: it is in the package %s", t.program, ErrTool, t.pack)
	}
	if t.since == ([2]int{}) {
		return nil
	}
	// Older ones do not know the option, fail, and still say their version.
	var out bytes.Buffer
	_, err := (process.Group{}).Run(ctx, process.Command{Args: []string{t.program, "-V"}, Env: t.env(""), Timeout: versionTime, Output: &out})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	is := versionIn.FindStringSubmatch(out.String())
	if is == nil {
		return fmt.Errorf("%s %d.%d or later %w: what is there does not say its version (%w)", t.program, t.since[0], t.since[1], ErrTool, cmp.Or(err, errNoVersion))
	}
	major, _ := strconv.Atoi(is[1]) // digits
	minor, _ := strconv.Atoi(is[2])
	if slices.Compare([]int{major, minor}, t.since[:]) < 0 {
		return fmt.Errorf("%s %d.%d or later %w: it is in the package %s, of which this is %d.%d", t.program, t.since[0], t.since[1], ErrTool, t.pack, major, minor)
	}
	return nil
}

var (
	versionIn    = regexp.MustCompile(`\b(\d{1,6})\.(\d{1,6})`)
	errNoVersion = errors.New("no version")
)

// env is the whole environment of a program; dir is for its temporary files.
func (tool) env(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir}
}

// packByTool makes the tree in a temporary directory, and the image of it there.
func (in *Input) packByTool(ctx context.Context, kind artifacts.Format, by tool) (p *Packed, err error) {
	if in.opt.KeepTimes && !by.times {
		return nil, fmt.Errorf("keeping times %w: %s gives all files one", ErrInput, by.program)
	}
	if err := by.check(ctx); err != nil {
		return nil, err
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
	if _, err := (process.Group{}).Run(ctx, process.Command{Args: args, Dir: dir, Env: by.env(dir)}); err != nil {
		return nil, by.failed(ctx, made, err)
	}
	return in.sealImage(ctx, made, kind, entries)
}

// failed is why the program did not make the image: not all say that the disk is full.
func (t tool) failed(ctx context.Context, image string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	full := unix.ENOSPC
	room := os.WriteFile(image+".room", make([]byte, roomTried), 0o600)
	if said := strings.Contains(strings.ToLower(err.Error()), full.Error()); said || errors.Is(room, full) || errors.Is(room, unix.EDQUOT) {
		return &os.PathError{Op: t.program, Path: image, Err: full}
	}
	return err
}

// roomTried is more than the end of an image for which there was no room.
const roomTried = 4 << 20

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
