package unpack

import (
	"bufio"
	"context"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// MaxWindow is the largest window of a zstd stream: what RFC 8878 asks of every
// decoder, and what zstd needs up to -19 without --long.
const MaxWindow = 8 << 20

// The plain bytes of a stream are decoded this far ahead of their reader.
const (
	aheadSize    = 256 << 10
	aheadBuffers = 4
)

// Gzip decompresses a gzip stream (RFC 1952) of one or several members in a
// goroutine of its own, at most 1 MiB ahead of its reader.
//
// A broken or truncated stream and bytes after its end are a [*tree.RefusedError];
// errors of r are wrapped. Close waits for the Read of r that is under way.
func Gzip(r io.Reader) (io.ReadCloser, error) {
	src := &source{r: r, max: math.MaxInt64}
	z, err := gzip.NewReader(bufio.NewReaderSize(src, aheadSize))
	if err != nil {
		return nil, src.blame(err)
	}
	return ahead(src, z, func() {}), nil
}

// Zstd decompresses a zstd stream (RFC 8878) of one or several frames, as
// [Gzip] does.
func Zstd(r io.Reader) (io.ReadCloser, error) {
	src := &source{r: r, max: math.MaxInt64}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow))
	if err != nil {
		return nil, src.blame(err)
	}
	return ahead(src, z, z.Close), nil
}

// ahead reads plain, which is decoded from src, before it is asked for.
func ahead(src *source, plain io.Reader, closePlain func()) io.ReadCloser {
	out := newOrderedReader(context.Background(), aheadBuffers)
	out.work.Go(func() {
		defer closePlain()
		for last := false; !last; {
			buf, err := receive(out.ctx, out.free)
			if err != nil {
				return
			}
			next := readNext(src, plain, buf)
			last = next.err != nil
			out.slot() <- next
		}
	})
	return out
}

func readNext(src *source, plain io.Reader, buf []byte) filled {
	if buf == nil {
		buf = make([]byte, aheadSize)
	}
	n, err := readFull(plain, buf[:aheadSize])
	switch {
	case err != nil:
		err = src.blame(err)
	case n < aheadSize:
		err = io.EOF
	}
	return filled{buf: buf[:n], err: err}
}
