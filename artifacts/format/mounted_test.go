package format

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"koboshi/artifacts"
	"koboshi/artifacts/image"
	"koboshi/artifacts/tree"
)

// erofsOf is an image with one file of size bytes, cut into pieces.
func erofsOf(t *testing.T, size int) (artifacts.Artifact, [][]byte) {
	t.Helper()
	entries := []tree.Entry{{Path: "file", Type: tree.TypeFile, Mode: 0o644, Size: int64(size)}}
	w, err := image.NewWriter(entries, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	content := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	if err := w.Write(&out, func(int) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }); err != nil {
		t.Fatal(err)
	}
	a := artifacts.Artifact{Format: artifacts.Erofs, Size: int64(out.Len()), UnpackedBytes: int64(size), Entries: 1}
	var pieces [][]byte
	var sums []artifacts.Digest
	for out.Len() > 0 {
		pieces = append(pieces, out.Next(artifacts.ChunkBytes))
		sums = append(sums, artifacts.Sum(pieces[len(pieces)-1]))
		a.Chunks = append(a.Chunks, artifacts.Chunk{Size: int64(len(pieces[len(pieces)-1])), SHA256: sums[len(sums)-1]})
	}
	a.Image = &artifacts.Image{Size: a.Size, Pieces: artifacts.SumOf(sums)}
	return a, pieces
}

// yield is pieces of an image that is not framed, in this order.
func yield(pieces [][]byte, order ...int) Next {
	return func(context.Context) (tree.Frame, error) {
		if len(order) == 0 {
			return tree.Frame{}, io.EOF
		}
		i := order[0]
		order = order[1:]
		return tree.Frame{Data: pieces[i], At: int64(i) * artifacts.ChunkBytes}, nil
	}
}

// framed makes each piece a frame, and yields them in this order.
func framed(t *testing.T, a *artifacts.Artifact, pieces [][]byte, order ...int) Next {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Chunks, a.Size = nil, 0
	var frames []tree.Frame
	for _, piece := range pieces {
		data := encoder.EncodeAll(piece, nil)
		frames = append(frames, tree.Frame{Data: data, At: a.Size, Plain: int64(len(piece))})
		a.Chunks = append(a.Chunks, artifacts.Chunk{Size: int64(len(data)), Plain: int64(len(piece))})
		a.Size += int64(len(data))
	}
	return func(context.Context) (tree.Frame, error) {
		if len(order) == 0 {
			return tree.Frame{}, io.EOF
		}
		i := order[0]
		order = order[1:]
		return frames[i], nil
	}
}

// Frames come in any order, too; each decodes to its own place.
func TestMountedFrames(t *testing.T) {
	a, pieces := erofsOf(t, 9<<20)
	f, err := Of(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}} {
		next := framed(t, &a, pieces, order...)
		target := Target{Artifact: a, Meta: metaOf(t)}
		if _, err := f.Stage(t.Context(), target, next); err != nil {
			t.Errorf("%v: %v", order, err)
		}
		if diff, err := f.Verify(t.Context(), target); err != nil || !diff.Clean() {
			t.Errorf("%v: %+v, %v", order, diff, err)
		}
	}
	next := framed(t, &a, [][]byte{pieces[1], pieces[0], pieces[2]}, 0, 1, 2)
	if _, err := f.Stage(t.Context(), Target{Artifact: a, Meta: metaOf(t)}, next); !errors.Is(err, artifacts.ErrIntegrity) {
		t.Errorf("frames of other pieces: %v", err)
	}
}

func metaOf(t *testing.T) *os.Root {
	t.Helper()
	meta, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = meta.Close() })
	return meta
}

// An image is staged, verified, and whatever happens to it afterwards is noticed.
func TestMounted(t *testing.T) {
	a, pieces := erofsOf(t, 9<<20)
	f, err := Of(a)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Artifact: a, Meta: metaOf(t)}
	entries, err := f.Stage(t.Context(), target, yield(pieces, 1, 0, 2))
	if err != nil || len(entries) != 1 || entries[0].Path != "file" {
		t.Fatalf("%+v, %v", entries, err)
	}
	if diff, err := f.Verify(t.Context(), target); err != nil || !diff.Clean() {
		t.Errorf("%+v, %v", diff, err)
	}
	if info, err := target.Meta.Stat(ImageFile); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	for name, damage := range map[string]func(*os.File) error{
		"altered":   func(f *os.File) error { _, err := f.WriteAt([]byte("X"), 8<<20); return err },
		"truncated": func(f *os.File) error { return f.Truncate(a.Size - 1) },
		"grown":     func(f *os.File) error { return f.Truncate(a.Size + 1) },
	} {
		target := Target{Artifact: a, Meta: metaOf(t)}
		if _, err := f.Stage(t.Context(), target, yield(pieces, 1, 0, 2)); err != nil {
			t.Fatal(err)
		}
		file, err := target.Meta.OpenFile(ImageFile, os.O_RDWR, 0)
		if err := errors.Join(err, damage(file), file.Close()); err != nil {
			t.Fatal(err)
		}
		if diff, err := f.Verify(t.Context(), target); err != nil || len(diff.Altered) != 1 {
			t.Errorf("%s: %+v, %v", name, diff, err)
		}
	}
	if diff, err := f.Verify(t.Context(), Target{Artifact: a, Meta: metaOf(t)}); err != nil || len(diff.Removed) != 1 {
		t.Errorf("gone: %+v, %v", diff, err)
	}
}

// A sample is of its format, and of no other: it has one file, and what is in it.
func TestSamples(t *testing.T) {
	images := Images()
	for _, f := range images {
		sample, err := f.Sample()
		if err != nil {
			t.Fatal(err)
		}
		name, r, size := f.Info().Name, bytes.NewReader(sample), int64(len(sample))
		exact, err := f.Exact(r, size)
		if err != nil || exact.Info().Name != name {
			t.Errorf("%s: it is %v, %v", name, exact, err)
		}
		a := artifacts.Artifact{Format: name, UnpackedBytes: 12288, Entries: 1, Image: &artifacts.Image{Size: size}}
		entries, err := f.Read(t.Context(), r, a)
		if err != nil || len(entries) != 1 || entries[0].Path != "sample" || entries[0].Size != 12288 {
			t.Errorf("%s: %+v, %v", name, entries, err)
		}
	}
	if len(images) != 5 {
		t.Errorf("%d formats", len(images))
	}
	for name, sample := range map[artifacts.Format]string{artifacts.ErofsLZ4: "erofs", artifacts.ErofsZstd: "erofs-lz4", artifacts.Erofs: "erofs-zstd", artifacts.SquashfsGzip: "squashfs"} {
		how, err := Of(artifacts.Artifact{Format: name})
		if err != nil {
			t.Fatal(err)
		}
		f, ok := how.(Image)
		if !ok {
			t.Fatal(name)
		}
		data, err := image.Sample(sample)
		if err != nil {
			t.Fatal(err)
		}
		a := artifacts.Artifact{UnpackedBytes: 12288, Entries: 1, Image: &artifacts.Image{Size: int64(len(data))}}
		if _, err := f.Read(t.Context(), bytes.NewReader(data), a); !errors.Is(err, tree.ErrRefused) || !strings.Contains(err.Error(), "is no "+string(name)) {
			t.Errorf("%s in place of %s: %v", sample, name, err)
		}
	}
}

func TestMountedRefuses(t *testing.T) {
	a, pieces := erofsOf(t, 5<<20)
	device := bytes.Clone(pieces[0])
	device[4096+erofsInodeBytes*2+4+1] = 0o060000 >> 8 // the file's type, after the top and its names
	for name, test := range map[string]struct {
		change func(*artifacts.Artifact)
		pieces [][]byte
		order  []int
		want   error
	}{
		"no image":        {func(a *artifacts.Artifact) { a.Image = nil }, pieces, []int{0, 1}, tree.ErrRefused},
		"other pieces":    {func(a *artifacts.Artifact) { a.Image.Pieces[0]++ }, pieces, []int{0, 1}, artifacts.ErrIntegrity},
		"one is missing":  {nil, pieces, []int{0}, tree.ErrRefused},
		"one comes twice": {nil, pieces, []int{0, 0}, tree.ErrRefused},
		"one more":        {nil, [][]byte{pieces[0], pieces[1], pieces[1]}, []int{0, 1, 2}, tree.ErrRefused},
		"no zstd":         {func(a *artifacts.Artifact) { a.Chunks = []artifacts.Chunk{{Plain: 1}} }, pieces, []int{0, 1}, tree.ErrRefused},
		"too few entries": {func(a *artifacts.Artifact) { a.Entries = 0 }, pieces, []int{0, 1}, tree.ErrRefused},
		"too few bytes":   {func(a *artifacts.Artifact) { a.UnpackedBytes-- }, pieces, []int{0, 1}, tree.ErrRefused},
		"another format":  {func(a *artifacts.Artifact) { a.Format = artifacts.Squashfs }, pieces, []int{0, 1}, tree.ErrRefused},
		"a device": {func(a *artifacts.Artifact) {
			a.Image.Pieces = artifacts.SumOf([]artifacts.Digest{artifacts.Sum(device), artifacts.Sum(pieces[1])})
			a.Chunks = []artifacts.Chunk{{Size: artifacts.ChunkBytes, SHA256: artifacts.Sum(device)}, a.Chunks[1]}
		}, [][]byte{device, pieces[1]}, []int{0, 1}, tree.ErrRefused},
	} {
		a := a
		signed := *a.Image
		if a.Image = &signed; test.change != nil {
			test.change(&a)
		}
		f, err := Of(a)
		if err != nil {
			t.Fatal(err)
		}
		next := yield(test.pieces, test.order...)
		if a.Framed() {
			next = func(context.Context) (tree.Frame, error) { return tree.Frame{Data: pieces[0], Plain: 4 << 20}, nil }
		}
		if _, err := f.Stage(t.Context(), Target{Artifact: a, Meta: metaOf(t)}, next); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

const erofsInodeBytes = 64
