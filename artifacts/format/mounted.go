package format

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"koboshi/artifacts"
	"koboshi/artifacts/image"
	"koboshi/artifacts/tree"
	"koboshi/artifacts/unpack"
)

// ImageFile is the image of a release, in its meta/.
const ImageFile = "image"

// mounted is an image: the tree of its release is an empty directory until the
// kernel mounts it there.
type mounted struct {
	info        Info
	filesystem  filesystem
	compression []image.Compression // the first is that of new images; others are read, too
}

// filesystem is how images of one kind are read.
type filesystem struct {
	read        func(ctx context.Context, r io.ReaderAt, size int64, limits tree.Limits) ([]tree.Entry, error)
	compression func(r io.ReaderAt, size int64) (image.Compression, error)
}

var (
	erofs    = filesystem{image.ReadErofs, image.ErofsCompression}
	squashfs = filesystem{image.ReadSquashfs, image.SquashfsCompression}
)

func (f mounted) Info() Info { return f.info }

// Space counts the file, the mount point and the directory that both are in.
func (mounted) Space(a artifacts.Artifact) Space {
	if a.Image == nil {
		return Space{}
	}
	return Space{a.Image.Size, 1}
}

func (mounted) Entries(ctx context.Context, t Target) ([]tree.Entry, error) {
	return tree.ReadIndex(ctx, t.Index, tree.MaxEntries)
}

// Stage writes the image and checks it by the rules of an archive, before any
// kernel mounts it.
func (f mounted) Stage(ctx context.Context, t Target, next Next) ([]tree.Entry, error) {
	want := t.Artifact.Image
	if want == nil {
		return nil, tree.Refuse("", "a %s that is no image", f.info.Name)
	}
	pieces := make([]artifacts.Digest, (want.Size+artifacts.ChunkBytes-1)/artifacts.ChunkBytes)
	w := &pieceWriter{framed: t.Artifact.Framed(), sums: pieces}
	if err := w.write(ctx, t.Meta, want.Size, next); err != nil {
		return nil, err
	}
	if got := artifacts.SumOf(pieces); got != want.Pieces {
		return nil, fmt.Errorf("%w: the pieces of the image have sha256 %s, want %s", artifacts.ErrIntegrity, got, want.Pieces)
	}
	file, err := t.Meta.Open(ImageFile)
	if err != nil {
		return nil, err
	}
	entries, err := f.Read(ctx, file, t.Artifact)
	return entries, errors.Join(err, file.Close())
}

// Read walks the image of an artifact.
func (f mounted) Read(ctx context.Context, r io.ReaderAt, a artifacts.Artifact) ([]tree.Entry, error) {
	compression, err := f.filesystem.compression(r, a.Image.Size)
	if err == nil && !slices.Contains(f.compression, compression) {
		err = tree.Refuse("", "an image with compression %q is no %s", compression, f.info.Name)
	}
	if err != nil {
		return nil, err
	}
	return f.filesystem.read(ctx, r, a.Image.Size, tree.Limits{Bytes: a.UnpackedBytes, Entries: a.Entries})
}

// Sample is a small image of this format.
func (f mounted) Sample() ([]byte, error) { return image.Sample(string(f.info.Name)) }

// Exact finds the format by the superblock.
func (f mounted) Exact(r io.ReaderAt, size int64) (Image, error) {
	compression, err := f.filesystem.compression(r, size)
	if err != nil {
		return nil, err
	}
	for _, other := range all() {
		if m, ok := other.(mounted); ok && m.info.Mount == f.info.Mount && m.compression[0] == compression {
			return m, nil
		}
	}
	return nil, tree.Refuse("", "an image of %s with compression %q", f.info.Mount, compression)
}

// Image is a format whose artifacts are mounted.
type Image interface {
	Format
	// Read walks an image of a.Image.Size bytes, within the limits of a. What is
	// not allowed is tree.ErrRefused.
	Read(ctx context.Context, r io.ReaderAt, a artifacts.Artifact) ([]tree.Entry, error)
	// Sample is a small image of this format, to try whether a kernel mounts it.
	Sample() ([]byte, error)
	// Exact is the format of a ready image: this one, or another of the same file
	// system. What is not allowed is tree.ErrRefused.
	Exact(r io.ReaderAt, size int64) (Image, error)
}

// pieceWriter decodes pieces and hashes them.
type pieceWriter struct {
	framed  bool
	sums    []artifacts.Digest
	decoder *unpack.FrameDecoder
	buffers sync.Pool
}

func (w *pieceWriter) write(ctx context.Context, dir *os.Root, size int64, next Next) error {
	if !w.framed {
		return tree.WritePieces(ctx, dir, ImageFile, size, next, func(i int, f tree.Frame) ([]byte, func(), error) {
			return f.Data, f.Done, w.sum(i, f.Data)
		})
	}
	var err error
	if w.decoder, err = unpack.NewFrameDecoder(runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	defer w.decoder.Close()
	return tree.WritePieces(ctx, dir, ImageFile, size, next, w.decode)
}

func (w *pieceWriter) decode(i int, f tree.Frame) ([]byte, func(), error) {
	buf, _ := w.buffers.Get().([]byte)
	plain, err := w.decoder.Decode(f, buf)
	if err != nil {
		return nil, nil, err
	}
	return plain, func() { w.buffers.Put(plain) }, w.sum(i, plain) //nolint:staticcheck // a slice header once in 4 MiB
}

// sum hashes a piece. The size of the image bounds how many there are, and that each
// is as long as its chunk was checked with the manifest.
func (w *pieceWriter) sum(i int, piece []byte) error {
	if i >= len(w.sums) {
		return tree.Refuse("", "more pieces than the image has")
	}
	w.sums[i] = artifacts.Sum(piece)
	return nil
}

// Verify hashes the image, in parallel.
func (mounted) Verify(ctx context.Context, t Target) (tree.Diff, error) {
	file, err := t.Meta.Open(ImageFile)
	if errors.Is(err, os.ErrNotExist) {
		return tree.Diff{Removed: []string{"."}}, nil
	}
	if err != nil {
		return tree.Diff{}, err
	}
	defer func() { _ = file.Close() }() // only read
	got, err := HashImage(ctx, file)
	if err != nil {
		return tree.Diff{}, err
	}
	if t.Artifact.Image == nil || got != *t.Artifact.Image {
		return tree.Diff{Altered: []string{"."}}, nil
	}
	return tree.Diff{}, nil
}

// HashImage is what a manifest has to say about the image in a regular file. Memory
// is bounded by a buffer a processor.
func HashImage(ctx context.Context, f *os.File) (artifacts.Image, error) {
	info, err := f.Stat()
	if err != nil {
		return artifacts.Image{}, err
	}
	size := info.Size()
	sums := make([]artifacts.Digest, (size+artifacts.ChunkBytes-1)/artifacts.ChunkBytes)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range sums {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			hash, at := sha256.New(), int64(i)*artifacts.ChunkBytes
			n := min(artifacts.ChunkBytes, size-at)
			copied, err := io.CopyBuffer(struct{ io.Writer }{hash}, io.NewSectionReader(f, at, n), make([]byte, hashBuffer))
			if err == nil && copied != n {
				err = io.ErrUnexpectedEOF
			}
			sums[i] = artifacts.Digest(hash.Sum(nil))
			return err
		})
	}
	err = group.Wait()
	return artifacts.Image{Size: size, Pieces: artifacts.SumOf(sums)}, err
}

const hashBuffer = 256 << 10 // bytes
