package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/format"
	"koboshi/artifacts/image"
	"koboshi/artifacts/lint"
	"koboshi/artifacts/tree"
)

// builtIn is the kind of image that needs no other program.
const builtIn = "erofs"

// ImageKinds are the kinds of images that are made of a tree.
func ImageKinds() []string {
	return append([]string{builtIn}, slices.Sorted(maps.Keys(tools()))...)
}

// checkImageKind refuses any other.
func checkImageKind(kind string) error {
	if !slices.Contains(ImageKinds(), kind) {
		return fmt.Errorf("%q, want %s", kind, strings.Join(ImageKinds(), " or "))
	}
	return nil
}

// CheckImages refuses kinds that are unknown, given twice, or never taken: a machine
// takes the first that it mounts, and one that mounts erofs with compression mounts it
// without.
func CheckImages(kinds []string) error {
	for i, kind := range kinds {
		if err := checkImageKind(kind); err != nil {
			return err
		}
		if slices.Contains(kinds[:i], kind) {
			return fmt.Errorf("%s: given twice", kind)
		}
		if slices.Contains(kinds[:i], builtIn) && mountOf(kind) == mountOf(builtIn) {
			return fmt.Errorf("%s: no instance takes it after %s, put it first", kind, builtIn)
		}
	}
	return nil
}

// mountOf is the file system of a kind.
func mountOf(kind string) string {
	f, err := format.Of(artifacts.Artifact{Format: artifacts.Format(kind)})
	if err != nil {
		return ""
	}
	return f.Info().Mount
}

// imageTime is that of everything in an image, unless times are kept: the bytes of
// a release must not depend on when it is published. It is not 0, which is no time.
var imageTime = time.Unix(1, 0)

// PackImage makes a read-only image of the same tree as [Input.Pack], for an
// instance to mount in place of unpacking it: kind is one of [ImageKinds]. Its bytes
// depend on what those of a tar.zst do, and where another program makes it on its
// version. Where that is not installed the error is [ErrTool].
func (in *Input) PackImage(ctx context.Context, platform, kind string) (*Packed, error) {
	if err := errors.Join(CheckPlatform(platform), checkImageKind(kind)); err != nil {
		return nil, err
	}
	if in.image != nil {
		return nil, fmt.Errorf("an image of %s %w, which is one already", in.path, ErrInput)
	}
	if err := lint.Refused(in.findings); err != nil {
		return nil, refused(err)
	}
	pack := in.packErofs
	if by, other := tools()[kind]; other {
		pack = func(ctx context.Context) (*Packed, error) { return in.packByTool(ctx, artifacts.Format(kind), by) }
	}
	p, err := pack(ctx)
	if err != nil {
		return nil, fmt.Errorf("pack %s as %s: %w", in.path, kind, err)
	}
	in.describe(p, platform)
	return p, nil
}

// packErofs writes the image in independent zstd frames, as if it were a tar.
func (in *Input) packErofs(ctx context.Context) (*Packed, error) {
	w := &imageWriter{ctx: ctx, tree: in.list, meter: meter{total: in.list.bytes(), report: in.opt.Progress}}
	entries, err := w.hash()
	if err != nil {
		return nil, err
	}
	made, err := image.NewWriter(entries, imageTime)
	if err != nil {
		return nil, err
	}
	seal, err := newSealer(in.opt.TempDir)
	if err != nil {
		return nil, err
	}
	frames, err := newFramer(ctx, seal)
	if err != nil {
		return seal.seal("", contents{}, err)
	}
	pieces := &pieceHasher{}
	err = made.Write(io.MultiWriter(frames, pieces), w.open)
	if closed := frames.close(); err == nil {
		err = closed
	}
	if err == nil {
		err = in.list.settled(in.list.watched)
	}
	if err != nil {
		return seal.seal("", contents{}, err)
	}
	index, err := writeIndex(entries)
	p, err := seal.seal(artifacts.Erofs, contents{in.list.bytes(), int64(len(entries)), index}, err)
	if err == nil {
		p.artifact.Image = pieces.image()
	}
	return p, err
}

// imageWriter reads the files of a listing for an image.
type imageWriter struct {
	ctx   context.Context
	tree  *listing
	meter meter
}

// hash is the entries of the listing, files with their SHA-256.
func (w *imageWriter) hash() ([]tree.Entry, error) {
	entries := w.tree.entries()
	for i := range entries {
		if entries[i].Type != tree.TypeFile {
			continue
		}
		f, err := w.open(i)
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		n, err := io.Copy(io.MultiWriter(sum, &w.meter), f)
		if err = errors.Join(err, f.Close()); err == nil && n != entries[i].Size {
			err = ErrModified
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entries[i].Path, err)
		}
		entries[i].SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	return entries, nil
}

func (w *imageWriter) open(i int) (io.ReadCloser, error) {
	if w.ctx.Err() != nil {
		return nil, context.Cause(w.ctx)
	}
	f, unchanged, err := w.tree.open(w.tree.numbers[i])
	return &watchedFile{f, unchanged}, err
}

// watchedFile must be the one that was listed when it is closed.
type watchedFile struct {
	io.ReadCloser
	unchanged func() error
}

func (f *watchedFile) Close() error { return errors.Join(f.unchanged(), f.ReadCloser.Close()) }

// pieceHasher hashes an image while it is written.
type pieceHasher struct {
	sums []artifacts.Digest
	part []byte
	size int64
}

func (h *pieceHasher) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), artifacts.ChunkBytes-len(h.part))
		h.part, rest = append(h.part, rest[:n]...), rest[n:]
		if len(h.part) == artifacts.ChunkBytes {
			h.end()
		}
	}
	h.size += int64(len(b))
	return len(b), nil
}

func (h *pieceHasher) end() {
	h.sums, h.part = append(h.sums, artifacts.Sum(h.part)), h.part[:0]
}

func (h *pieceHasher) image() *artifacts.Image {
	if len(h.part) > 0 {
		h.end()
	}
	return &artifacts.Image{Size: h.size, Pieces: artifacts.SumOf(h.sums)}
}

// readImage lists what is in a ready image, whose files are not looked into.
func (in *Input) readImage(ctx context.Context, f format.Image) error {
	if in.opt.Name != "" {
		return errNoSingle
	}
	if in.opt.Strip > 0 || len(in.opt.Exclude) > 0 || in.opt.CodeDeploy || in.opt.KeepTimes {
		return fmt.Errorf("changing what is in it %w, which is an image", ErrInput)
	}
	a := artifacts.Artifact{UnpackedBytes: maxTried, Entries: tree.MaxEntries, Image: &artifacts.Image{Size: in.info.Size()}}
	f, err := f.Exact(in.file, in.info.Size())
	if err != nil {
		return refused(err)
	}
	entries, err := f.Read(ctx, in.file, a)
	if err != nil {
		return refused(err)
	}
	if len(entries) == 0 {
		return errors.New("the image is empty")
	}
	in.image, in.list = f, &listing{source: sealedImage{}}
	for _, e := range entries {
		in.list.add(lint.File{Entry: e, Was: e.Mode})
	}
	in.findings = nil
	return same(in.file, in.path, in.info)
}

// sealedImage is a source whose files are not read.
type sealedImage struct{}

func (sealedImage) open(int) (io.ReadCloser, func() error, error) {
	return nil, nil, errors.ErrUnsupported
}
func (sealedImage) settled([]int) error { return nil }
func (sealedImage) Close() error        { return nil }

// packImage copies a ready image and checks the copy as an instance would.
func (in *Input) packImage(ctx context.Context) (*Packed, error) {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	seal, err := newSealer(in.opt.TempDir)
	if err != nil {
		return nil, err
	}
	if err := cut(ctx, in.file, in.info, seal, in.opt.Progress); err != nil {
		return seal.seal("", contents{}, err)
	}
	sums := make([]artifacts.Digest, len(seal.chunks))
	for i, c := range seal.chunks {
		sums[i] = c.SHA256
	}
	a := artifacts.Artifact{UnpackedBytes: maxTried, Entries: tree.MaxEntries, Image: &artifacts.Image{Size: seal.size, Pieces: artifacts.SumOf(sums)}}
	entries, err := in.image.Read(ctx, seal.file, a)
	if err != nil {
		return seal.seal("", contents{}, refused(err))
	}
	found := contents{entries: int64(len(entries))}
	for _, e := range entries {
		found.bytes += e.Size
	}
	p, err := seal.seal(in.image.Info().Name, found, nil)
	if err == nil {
		p.artifact.Image, p.entries = a.Image, entries
	}
	return p, err
}

// IsImage reports whether a path is that of a ready image.
func IsImage(path string) bool { return imageOf(path) != nil }

// imageOf is the format of a ready image, by its name; nil for anything else.
func imageOf(path string) format.Image {
	f, _ := format.ByName(filepath.Base(path)).(format.Image)
	return f
}
