package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
	"koboshi/artifacts/tree"
)

func TestDownload(t *testing.T) {
	for _, size := range []int{1, 4095, 40 << 10, 1<<20 + 17} {
		for _, chunk := range []int{0, 30 << 10, 64 << 10, 300 << 10} {
			t.Run(fmt.Sprintf("%d bytes in chunks of %d", size, chunk), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testDownload(t, size, chunk) })
			})
		}
	}
}

func testDownload(t *testing.T, size, chunk int) {
	data := noise(1, size)
	src := newMemory()
	src.put(key, data)
	var attempts, progress atomic.Int64
	o := small
	o.Attempts = func() { attempts.Add(1) }
	o.Progress = func(n int64) { progress.Add(n) }
	src.body = func(_ request, data []byte) io.Reader { return iotest.DataErrReader(bytes.NewReader(data)) }
	start := time.Now()
	if _, err := download(t, src, artifactOf(data, chunk), data, o); err != nil {
		t.Fatal(err)
	}
	if got := src.asked(); got != int64(size) {
		t.Errorf("asked for %d bytes in all, want %d", got, size)
	}
	if int(attempts.Load()) != len(src.log()) || progress.Load() != int64(size) {
		t.Errorf("attempts %d, progress %d; want %d, %d", attempts.Load(), progress.Load(), len(src.log()), size)
	}
	if took := time.Since(start); took != 0 {
		t.Errorf("paused for %s", took)
	}
	for i, r := range src.log() {
		if pinned := r.ETag != ""; pinned != (i > 0) {
			t.Errorf("request %d: %v: pinned %v", i, r, pinned)
		}
	}
}

// A piece of a chunked artifact is one chunk, with what the frame decoder
// needs to know of it.
func TestPiecesAreChunks(t *testing.T) {
	data := noise(2, 100<<10)
	a := artifactOf(data, 9000)
	a.Format = artifacts.TarZst
	for i := range a.Chunks {
		a.Chunks[i].Plain = int64(1000 + i)
	}
	src := newMemory()
	src.put(key, data)
	d := originOf(artifacts.Trust{}, src).Open(t.Context(), a, small)
	defer func() { _ = d.Close() }()
	for i, c := range a.Chunks {
		f, err := d.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if artifacts.Sum(f.Data) != c.SHA256 || f.Plain != c.Plain {
			t.Errorf("piece %d: %d bytes, plain %d; want chunk %+v", i, len(f.Data), f.Plain, c)
		}
		f.Release()
	}
	if _, err := d.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the last chunk: %v, want io.EOF", err)
	}
	if _, err := d.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("and again: %v, want io.EOF", err)
	}
}

// Whatever the size, only so many slots are read ahead, and a slot is used
// again only when all its pieces are released.
func TestMemoryIsFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(3, 4<<20)
		src := newMemory()
		src.put(key, data)
		d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, 32<<10), fetch.Options{Workers: 3, SlotBytes: 1 << 20})
		var held []tree.Frame
		for range 32 { // one slot's worth of chunks
			f, err := d.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, f)
		}
		synctest.Wait()
		if got := src.asked(); got != 3<<20 {
			t.Errorf("%d bytes asked for while 3 slots of 1 MiB are in use", got)
		}
		for i, f := range held {
			if !bytes.Equal(f.Data, data[i*32<<10:(i+1)*32<<10]) {
				t.Fatalf("piece %d was overwritten before its release", i)
			}
			f.Release()
			f.Release() // a second one is harmless
		}
		if out, err := drain(t.Context(), d); !errors.Is(err, io.EOF) || !bytes.Equal(out, data[1<<20:]) {
			t.Errorf("the rest: %d bytes, %v", len(out), err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Once the first answer has begun, as many parts are read at once as there are
// slots.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(13, 1<<20)
		src := newMemory()
		src.put(key, data)
		answered, brought := make(chan struct{}), make(chan struct{})
		src.fail = func(r request) error {
			if r.n == 0 {
				<-answered
			}
			return nil
		}
		src.body = func(_ request, data []byte) io.Reader {
			return io.MultiReader(readerFunc(func([]byte) (int, error) { <-brought; return 0, io.EOF }), bytes.NewReader(data))
		}
		d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, 0), fetch.Options{Workers: 5, SlotBytes: 64 << 10})
		for _, step := range []struct {
			then chan struct{}
			want int
		}{{answered, 1}, {brought, 5}} {
			synctest.Wait()
			if n := len(src.log()); n != step.want {
				t.Errorf("%d requests under way, want %d", n, step.want)
			}
			close(step.then)
		}
		if got, err := drain(t.Context(), d); !errors.Is(err, io.EOF) || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		_ = d.Close()
	})
}

// A machine with room for only a few large chunks reads each of them over
// several connections.
func TestLanes(t *testing.T) {
	const mib = 1 << 20
	data := noise(14, 8*mib+17)
	little := fetch.Options{Workers: 8, SlotBytes: mib} // two slots of 4 MiB
	for _, tc := range []struct {
		name     string
		body     func(r request, data []byte) io.Reader
		requests int
		asked    int
		err      error
	}{
		{"whole", nil, 9, len(data), nil},
		{"a lane that breaks off once", func(r request, data []byte) io.Reader {
			if r.Offset == 2*mib {
				return cut(data, mib/2)
			}
			return bytes.NewReader(data)
		}, 10, len(data) + mib/2, nil},
		{"a lane that never comes", func(r request, data []byte) io.Reader {
			if r.Offset == 2*mib {
				return cut(data, 0)
			}
			return bytes.NewReader(data)
		}, 0, 0, fetch.ErrTransport},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newMemory()
				src.put(key, data)
				src.body = tc.body
				_, err := download(t, src, artifactOf(data, 4*mib), data, little)
				if !errors.Is(err, tc.err) {
					t.Fatal(err)
				}
				if n := len(src.log()); err == nil && (n != tc.requests || src.asked() != int64(tc.asked)) {
					t.Errorf("%d requests for %d bytes, want %d for %d", n, src.asked(), tc.requests, tc.asked)
				}
			})
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A frame stays readable after Close, until it is released.
func TestFrameOutlivesClose(t *testing.T) {
	data := noise(4, 200<<10)
	src := newMemory()
	src.put(key, data)
	d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, 32<<10), small)
	f, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Data, data[:32<<10]) {
		t.Error("the frame has changed")
	}
	f.Release()
	if _, err := d.Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Next after Close: %v", err)
	}
}

func TestCancel(t *testing.T) {
	cause := errors.New("interrupted")
	for _, chunk := range []int{0, 32 << 10} {
		t.Run(strconv.Itoa(chunk), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				data := noise(5, 1<<20)
				src := newMemory()
				src.put(key, data)
				src.body = func(r request, data []byte) io.Reader {
					if r.Offset > 200<<10 {
						return &trickle{r.ctx, data}
					}
					return bytes.NewReader(data)
				}
				d := originOf(artifacts.Trust{}, src).Open(ctx, artifactOf(data, chunk), small)
				if _, err := d.Next(ctx); err != nil {
					t.Fatal(err)
				}
				cancel(cause)
				if _, err := drain(t.Context(), d); !errors.Is(err, cause) {
					t.Errorf("after the context's end: %v, want its cause", err)
				}
				_ = d.Close() // synctest fails the test where a goroutine stays
			})
		})
	}
}

// A download of some chunks requests nothing else, and neighbours in one request.
func TestOnlySomeChunks(t *testing.T) {
	const size = 9000
	data := noise(4, 100*size)
	a := artifactOf(data, size)
	for _, only := range [][]int{{0}, {99}, {3, 4, 5, 40, 98, 99}, {0, 50}} {
		src := newMemory()
		src.put(key, data)
		o := small
		o.Chunks = only
		d := originOf(artifacts.Trust{}, src).Open(t.Context(), a, o)
		for _, i := range only {
			f, err := d.Next(t.Context())
			if err != nil || artifacts.Sum(f.Data) != a.Chunks[i].SHA256 {
				t.Fatalf("chunk %d of %v: %d bytes, %v", i, only, len(f.Data), err)
			}
			f.Release()
		}
		if _, err := d.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("after the last of %v: %v, want io.EOF", only, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if got := src.asked(); got != int64(len(only)*size) {
			t.Errorf("%v: asked for %d bytes", only, got)
		}
	}
}
