package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"koboshi/artifacts/tree"

	"github.com/klauspost/compress/zstd"
)

func zstdFrame(t testing.TB, plain []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithEncoderConcurrency(1)}, opts...)...)
	must(t, err)
	return z.EncodeAll(plain, nil)
}

// A reel yields frames and counts those that are not released.
type reel struct {
	frames []tree.Frame
	end    error
	held   atomic.Int64
	most   int64
}

func (r *reel) next(ctx context.Context) (tree.Frame, error) {
	if len(r.frames) == 0 || ctx.Err() != nil {
		return tree.Frame{}, r.end
	}
	f := r.frames[0]
	r.frames = r.frames[1:]
	r.most = max(r.most, r.held.Add(1))
	data := slices.Clone(f.Data)
	return tree.Frame{Data: data, Plain: f.Plain, Release: func() {
		clear(data) // a reader that uses it after its release fails the test
		r.held.Add(-1)
	}}, nil
}

func TestFramesInOrder(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	for _, workers := range []int{0, 1, 4} {
		var want bytes.Buffer
		r := &reel{end: io.EOF}
		for i := range 50 {
			plain := bytes.Repeat([]byte(fmt.Sprint(i, " ")), noise.IntN(5000))
			want.Write(plain)
			r.frames = append(r.frames, tree.Frame{Data: zstdFrame(t, plain), Plain: int64(len(plain))})
		}
		synctest.Test(t, func(t *testing.T) {
			plain := Frames(t.Context(), workers, r.next)
			got, err := io.ReadAll(plain)
			if err != nil || !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%d workers: %d bytes %v, want %d", workers, len(got), err, want.Len())
			}
			must(t, plain.Close())
			if r.held.Load() != 0 || r.most > int64(max(workers, 1)+2) {
				t.Errorf("%d workers: %d frames not released, %d held at once", workers, r.held.Load(), r.most)
			}
		})
	}
}

func TestFramesRefused(t *testing.T) {
	plain := []byte(strings.Repeat("koboshi ", 1000))
	size := int64(len(plain))
	good := zstdFrame(t, plain)
	flipped := slices.Clone(good)
	flipped[len(flipped)-1]++ // in the checksum
	for name, f := range map[string]tree.Frame{
		"decodes to less than said":       {Data: good, Plain: size + 1},
		"decodes to more than said":       {Data: good, Plain: size - 1},
		"decodes to something, not empty": {Data: good},
		"negative size":                   {Data: good, Plain: -1000},
		"larger than a frame may be":      {Data: zeros(t, MaxFrame+1), Plain: MaxFrame + 1},
		"truncated":                       {Data: good[:len(good)-5], Plain: size},
		"checksum":                        {Data: flipped, Plain: size},
		"bytes after the frame":           {Data: append(slices.Clone(good), 'x'), Plain: size},
		"no frame":                        {Data: plain, Plain: size},
		"nothing":                         {Plain: size},
		"bomb without a size":             {Data: zeros(t, 64<<20), Plain: size},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &reel{end: io.EOF, frames: []tree.Frame{{Data: good, Plain: size}, f, {Data: good, Plain: size}}}
			stream := Frames(t.Context(), 2, r.next)
			got, err := io.ReadAll(stream)
			if !errors.Is(err, tree.ErrRefused) || !bytes.Equal(got, plain) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			must(t, stream.Close())
			if n := r.held.Load(); n != 0 {
				t.Errorf("%s: %d frames not released", name, n)
			}
		})
	}
}

// zeros is a small frame of many zeros without their number in its header.
func zeros(t testing.TB, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(1<<20))
	must(t, err)
	_, err = z.Write(make([]byte, size))
	must(t, err)
	must(t, z.Close())
	return b.Bytes()
}

// A frame takes the memory of its signed size, not of what it decodes to.
func TestFramesMemory(t *testing.T) {
	r := &reel{end: io.EOF, frames: []tree.Frame{
		{Data: zeros(t, MaxFrame), Plain: MaxFrame},
		{Data: zeros(t, 512<<20), Plain: 100},
	}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stream := Frames(t.Context(), 1, r.next)
	n, err := io.Copy(io.Discard, stream)
	runtime.ReadMemStats(&after)
	if n != MaxFrame || !errors.Is(err, tree.ErrRefused) {
		t.Errorf("%d bytes, %v", n, err)
	}
	must(t, stream.Close())
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
		t.Errorf("took %d MiB", took>>20)
	}
}

// An error of next comes after the bytes before it, and is no refusal.
func TestFramesFail(t *testing.T) {
	plain := []byte("koboshi")
	synctest.Test(t, func(t *testing.T) {
		r := &reel{end: errFetch, frames: []tree.Frame{{Data: zstdFrame(t, plain), Plain: 7}}}
		stream := Frames(t.Context(), 2, r.next)
		for range 2 { // and they stay
			got, err := io.ReadAll(stream)
			if !errors.Is(err, errFetch) || errors.Is(err, tree.ErrRefused) || !bytes.Equal(got, plain) {
				t.Errorf("%q %v", got, err)
			}
			plain = nil
		}
		must(t, stream.Close())
	})
}

// Close and cancellation end a stream that is not read and one that waits.
func TestFramesStopped(t *testing.T) {
	data := zstdFrame(t, []byte("koboshi"))
	forever := func(ctx context.Context) (tree.Frame, error) { return tree.Frame{Data: data, Plain: 7}, ctx.Err() }
	waiting := func(ctx context.Context) (tree.Frame, error) { <-ctx.Done(); return tree.Frame{}, ctx.Err() }
	for name, next := range map[string]func(context.Context) (tree.Frame, error){"forever": forever, "waiting": waiting} {
		synctest.Test(t, func(t *testing.T) {
			must(t, Frames(t.Context(), 2, next).Close())
			ctx, cancel := context.WithCancelCause(t.Context())
			stream := Frames(ctx, 2, next)
			go cancel(errFetch)
			if _, err := io.Copy(io.Discard, stream); !errors.Is(err, errFetch) && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			must(t, stream.Close())
		})
	}
}
