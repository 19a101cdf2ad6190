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

// Info is Direct: the chunks of an image are its pieces.
func (f mounted) Info() Info {
	info := f.info
	info.Direct = true
	return info
}

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
	w := newPieceWriter(t.Artifact)
	if err := w.write(ctx, t.Meta, next); err != nil {
		return nil, err
	}
	if got := artifacts.SumOf(w.sums); got != want.Pieces {
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

// pieceWriter puts the chunks of an artifact, which come in any order, in their places
// as the pieces of an image. It hashes what it decodes. A chunk that is a piece as it is
// has been hashed when it was fetched.
type pieceWriter struct {
	chunks  []artifacts.Chunk
	starts  []int64 // of the chunks in the artifact
	size    int64   // of the image
	sums    []artifacts.Digest
	come    []bool // the pieces that there were
	decoder *unpack.FrameDecoder
	buffers sync.Pool
}

func newPieceWriter(a artifacts.Artifact) *pieceWriter {
	n := (a.Image.Size + artifacts.ChunkBytes - 1) / artifacts.ChunkBytes
	return &pieceWriter{chunks: a.Chunks, starts: chunkOffsets(a), size: a.Image.Size, sums: make([]artifacts.Digest, n), come: make([]bool, n)}
}

// chunkOffsets is where each chunk begins in the artifact.
func chunkOffsets(a artifacts.Artifact) []int64 {
	offsets := make([]int64, len(a.Chunks))
	for i := 1; i < len(offsets); i++ {
		offsets[i] = offsets[i-1] + a.Chunks[i-1].Size
	}
	return offsets
}

func (w *pieceWriter) write(ctx context.Context, dir *os.Root, next Next) error {
	if len(w.chunks) > 0 && w.chunks[0].Plain > 0 {
		var err error
		if w.decoder, err = unpack.NewFrameDecoder(runtime.GOMAXPROCS(0)); err != nil {
			return err
		}
		defer w.decoder.Close()
	}
	return tree.WritePieces(ctx, dir, ImageFile, w.size, next, w.piece)
}

// piece finds the place of a frame. That each is as long as its place was checked with
// the manifest.
func (w *pieceWriter) piece(f tree.Frame) (tree.Piece, error) {
	i, found := slices.BinarySearch(w.starts, f.At)
	if !found || i >= len(w.sums) || w.come[i] {
		return tree.Piece{}, tree.Refuse("", "a piece at byte %d, which the image does not have, or has twice", f.At)
	}
	w.come[i] = true
	p := tree.Piece{At: int64(i) * artifacts.ChunkBytes, Size: f.Plain, Prepare: func() ([]byte, func(), error) { return w.decode(i, f) }}
	if w.decoder == nil {
		w.sums[i], p.Size = w.chunks[i].SHA256, int64(len(f.Data))
		p.Prepare = func() ([]byte, func(), error) { return f.Data, f.Done, nil }
	}
	return p, nil
}

func (w *pieceWriter) decode(i int, f tree.Frame) ([]byte, func(), error) {
	buf, _ := w.buffers.Get().([]byte)
	plain, err := w.decoder.Decode(f, buf)
	if err != nil {
		return nil, nil, err
	}
	w.sums[i] = artifacts.Sum(plain)
	return plain, func() { w.buffers.Put(plain) }, nil //nolint:staticcheck // a slice header once in 4 MiB
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
	got, err := hashImage(ctx, file)
	if err != nil {
		return tree.Diff{}, err
	}
	if t.Artifact.Image == nil || got != *t.Artifact.Image {
		return tree.Diff{Altered: []string{"."}}, nil
	}
	return tree.Diff{}, nil
}

// hashImage is what a manifest has to say about the image in a regular file. Memory
// is bounded by a buffer a processor.
func hashImage(ctx context.Context, f *os.File) (artifacts.Image, error) {
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
