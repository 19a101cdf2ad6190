package unpack

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The windows of zstd streams, in bytes: how far a stream may refer back, and so
// how much memory decoding takes.
const (
	// SmallWindow is what RFC 8878 requires every decoder to support, and the most
	// that zstd uses up to -19 without --long.
	SmallWindow = 8 << 20
	// MaxWindow is zstd's own limit, that of --long.
	MaxWindow = 128 << 20
)

// How far ahead of its reader a stream is decoded.
const (
	aheadSize    = 256 << 10
	aheadBuffers = 4
)

// Gzip decompresses a gzip stream (RFC 1952) of one or several members in a
// goroutine of its own, at most 1 MiB ahead of its reader.
//
// A broken or truncated stream and bytes after its end are a [*tree.RefusedError];
// errors of r are wrapped. Close waits for a running Read of r.
func Gzip(r io.Reader) (io.ReadCloser, error) {
	src := &source{r: r, max: math.MaxInt64}
	z, err := gzip.NewReader(bufio.NewReaderSize(src, aheadSize))
	if err != nil {
		return nil, src.blame(err)
	}
	return ahead(src, z, func() {}), nil
}

// Zstd decompresses a zstd stream (RFC 8878) of one or several frames, as
// [Gzip] does. A window of more bytes than given, or than MaxWindow, is refused;
// 0 is SmallWindow.
func Zstd(r io.Reader, window int64) (io.ReadCloser, error) {
	window = min(cmp.Or(window, SmallWindow), MaxWindow)
	src := &source{r: r, max: math.MaxInt64, window: window}
	in := bufio.NewReaderSize(src, aheadSize)
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(uint64(window)), //nolint:gosec // not negative
		zstd.WithDecoderLowmem(largeWindow(in)))
	if err != nil {
		return nil, src.blame(err)
	}
	return ahead(src, z, z.Close), nil
}

// largeWindow reports whether a stream needs so much memory that the decoder must
// not allocate it twice, as it does by default. Invalid streams are refused later.
func largeWindow(in *bufio.Reader) bool {
	head, _ := in.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	return h.Decode(head) != nil || h.WindowSize > SmallWindow || h.Skippable
}

// ahead reads plain, which is decoded from src, ahead of its reader.
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
