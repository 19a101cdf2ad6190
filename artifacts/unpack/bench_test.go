package unpack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"koboshi/artifacts/tree"

	"github.com/klauspost/compress/zstd"
)

// benchTree is a tar stream of 4,000 files in 400 directories, about 40 MB,
// that compresses to about a third.
func benchTree() []byte {
	var archive tape
	noise := rand.New(rand.NewPCG(5, 6))
	text := prose(noise, 16<<20)
	for i := range 4000 {
		if i%10 == 0 {
			archive.dir(fmt.Sprintf("d%03d", i/10))
		}
		size := noise.IntN(1 << (4 + noise.IntN(13)))
		if i%500 == 0 {
			size = 3 << 20
		}
		archive.file(fmt.Sprintf("d%03d/file-%05d.js", i/10, i), text[noise.IntN(len(text)-size):][:size])
	}
	archive.end()
	return archive.Bytes()
}

// prose is words of different frequency.
func prose(noise *rand.Rand, size int) string {
	words := make([]string, 5000)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", noise.Uint64N(1<<(8+noise.IntN(32))))
	}
	var text strings.Builder
	for text.Len() < size {
		text.WriteString(words[noise.IntN(1+noise.IntN(len(words)))])
	}
	return text.String()
}

func BenchmarkTar(b *testing.B) {
	stream := benchTree()
	limits := tree.Limits{Bytes: 1 << 30, Entries: 10000}
	for _, writers := range []int{1, 4} {
		for _, hash := range []bool{false, true} {
			b.Run(fmt.Sprintf("writers=%d/hash=%v", writers, hash), func(b *testing.B) {
				top := b.TempDir()
				b.SetBytes(int64(len(stream)))
				for i := 0; b.Loop(); i++ {
					benchUnpack(b, filepath.Join(top, fmt.Sprint(i)), bytes.NewReader(stream), tree.Options{Limits: limits, Writers: writers, Hash: hash})
				}
			})
		}
	}
}

// BenchmarkTimes measures what it costs to give every file a time.
func BenchmarkTimes(b *testing.B) {
	stream := benchTree()
	top := b.TempDir()
	for name, at := range map[string]time.Time{"none": {}, "set": time.Unix(1_795_255_200, 0)} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				opt := tree.Options{Limits: tree.Limits{Bytes: 1 << 30, Entries: 10000}, Time: at, Bare: true}
				benchUnpack(b, filepath.Join(top, fmt.Sprint(name, b.N, "-", i)), bytes.NewReader(stream), opt)
			}
		})
	}
}

func benchUnpack(b *testing.B, dir string, r io.Reader, opt tree.Options) {
	must(b, os.Mkdir(dir, 0o755))
	root, err := os.OpenRoot(dir)
	must(b, err)
	_, err = Tar(b.Context(), r, root, opt)
	must(b, err)
	must(b, root.Close())
}

// BenchmarkPlain measures the decoding of each format to its plain stream.
func BenchmarkPlain(b *testing.B) {
	stream := benchTree()
	one := zstdFrame(b, stream, zstd.WithWindowSize(SmallWindow))
	zipped := gzipped(b, stream)
	var frames []tree.Frame
	for at := 0; at < len(stream); at += 4 << 20 {
		plain := stream[at:min(at+4<<20, len(stream))]
		frames = append(frames, tree.Frame{Data: zstdFrame(b, plain), Plain: int64(len(plain))})
	}
	run := func(name string, open func() (io.ReadCloser, error)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			for b.Loop() {
				plain, err := open()
				must(b, err)
				n, err := io.Copy(io.Discard, plain)
				must(b, err)
				must(b, plain.Close())
				if n != int64(len(stream)) {
					b.Fatalf("%d bytes", n)
				}
			}
		})
	}
	run("gzip", func() (io.ReadCloser, error) { return Gzip(bytes.NewReader(zipped)) })
	run("zstd/stream", func() (io.ReadCloser, error) { return Zstd(bytes.NewReader(one), 0) })
	for _, workers := range []int{1, 2, 4} {
		run(fmt.Sprint("zstd/frames/workers=", workers), func() (io.ReadCloser, error) {
			rest := frames
			return Frames(b.Context(), workers, func(context.Context) (tree.Frame, error) {
				if len(rest) == 0 {
					return tree.Frame{}, io.EOF
				}
				f := rest[0]
				rest = rest[1:]
				return f, nil
			}), nil
		})
	}
}
