package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// anyOrder has 4 slots of one chunk.
var anyOrder = fetch.Options{Workers: 4, SlotBytes: piece, AnyOrder: true}

const piece = 64 << 10

// scatter reads a download to its end and returns what came out, each piece at its
// place, and how many bytes that were.
func scatter(ctx context.Context, d *fetch.Download, size int) (out []byte, n int, err error) {
	out = make([]byte, size)
	for {
		f, err := d.Next(ctx)
		if err != nil {
			return out, n, err
		}
		n += copy(out[f.At:], f.Data)
		f.Release()
	}
}

func TestAnyOrder(t *testing.T) {
	flip := func(at int64, always bool) func(request, []byte) io.Reader {
		return func(r request, data []byte) io.Reader {
			data = bytes.Clone(data)
			if i := at - r.Offset; i >= 0 && i < int64(len(data)) && (always || len(data) > piece) {
				data[i] ^= 1
			}
			return bytes.NewReader(data)
		}
	}
	for name, tc := range map[string]struct {
		chunks   int
		body     func(r request, data []byte) io.Reader
		requests int   // 0 = not counted
		again    int64 // bytes that are asked for twice
		err      error
	}{
		"one chunk":               {1, nil, 1, 0, nil},
		"one each":                {4, nil, 4, 0, nil},
		"two, then one each":      {8, nil, 6, 0, nil},
		"several a request":       {40, nil, 14, 0, nil},
		"a body that breaks off":  {40, func(r request, data []byte) io.Reader { return breakOnce(r, data, piece+piece/2) }, 15, 2*piece + piece/2, nil},
		"one that never comes":    {40, func(r request, data []byte) io.Reader { return breakAlways(r, data, piece) }, 0, 0, fetch.ErrTransport},
		"a bit that flipped once": {40, flip(2*piece+5, false), 15, piece, nil},
		"a bit that is wrong":     {40, flip(2*piece+5, true), 0, 0, artifacts.ErrIntegrity},
		"more than was asked for": {1, func(_ request, data []byte) io.Reader { return bytes.NewReader(append(bytes.Clone(data), 0)) }, 1, 0, fetch.ErrTransport},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := noise(7, tc.chunks*piece-3)
				src := newMemory()
				src.put(key, data)
				src.body = tc.body
				d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, piece), anyOrder)
				got, n, err := scatter(t.Context(), d, len(data))
				if !errors.Is(err, tc.err) && (tc.err != nil || !errors.Is(err, io.EOF)) {
					t.Fatalf("%v, want %v", err, tc.err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				for i := 0; i < len(data); i += piece {
					if part := got[i:min(i+piece, len(data))]; !bytes.Equal(part, data[i:i+len(part)]) && !bytes.Equal(part, make([]byte, len(part))) {
						t.Errorf("unverified bytes came out at %d", i)
					}
				}
				if tc.err == nil && (n != len(data) || !bytes.Equal(got, data)) {
					t.Errorf("%d bytes, want %d", n, len(data))
				}
				if requests := len(src.log()); tc.requests > 0 && requests != tc.requests {
					t.Errorf("%d requests, want %d: %v", requests, tc.requests, src.log())
				}
				if want := int64(len(data)) + tc.again; tc.err == nil && src.asked() != want {
					t.Errorf("asked for %d bytes, want %d", src.asked(), want)
				}
			})
		})
	}
}

// breakOnce cuts the first body, which has several chunks.
func breakOnce(r request, data []byte, n int) io.Reader {
	if r.n == 0 {
		return cut(data, n)
	}
	return bytes.NewReader(data)
}

// breakAlways cuts every body at one byte of the object.
func breakAlways(r request, data []byte, at int64) io.Reader {
	if r.Offset <= at && at < r.Offset+int64(len(data)) {
		return cut(data, int(at-r.Offset))
	}
	return bytes.NewReader(data)
}

// A slow connection holds back its own chunks only.
func TestAnyOrderWaitsForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 40
		data := noise(8, chunks*piece)
		src := newMemory()
		src.put(key, data)
		enough := make(chan struct{})
		src.body = func(r request, data []byte) io.Reader {
			if r.n > 0 {
				return bytes.NewReader(data)
			}
			return io.MultiReader(bytes.NewReader(data[:10]), readerFunc(func([]byte) (int, error) { <-enough; return 0, io.EOF }), bytes.NewReader(data[10:]))
		}
		d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, piece), anyOrder)
		slow := src.first(t)
		got := make([]byte, len(data))
		for range chunks - int(slow.Length)/piece {
			f, err := d.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			copy(got[f.At:], f.Data)
			f.Release()
		}
		synctest.Wait() // the others have nothing left to do, and leave it all slots
		close(enough)
		for range anyOrder.Workers {
			f, err := d.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			copy(got[f.At:], f.Data)
			defer f.Release()
		}
		if _, err := d.Next(t.Context()); !errors.Is(err, io.EOF) || !bytes.Equal(got, data) {
			t.Errorf("not whole, or %v", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// first is the first request, which is made at once.
func (m *memory) first(t *testing.T) bucket.Range {
	t.Helper()
	synctest.Wait()
	return m.log()[0].Range
}

// Only so many chunks are read ahead as there are slots, though the requests bring
// more.
func TestAnyOrderMemoryIsFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(9, 40*piece)
		src := newMemory()
		src.put(key, data)
		d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, piece), anyOrder)
		for range anyOrder.Workers {
			if _, err := d.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(enough)
		more := make(chan error)
		go func() { _, err := d.Next(ctx); more <- err }()
		synctest.Wait()
		select {
		case err := <-more:
			t.Errorf("a chunk more than there are slots, %v", err)
		default:
			if cancel(enough); !errors.Is(<-more, enough) {
				t.Error("Next does not end with its context")
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Some chunks of an artifact always come in order.
func TestAnyOrderOfSomeChunks(t *testing.T) {
	data := noise(10, 40*piece)
	a := artifactOf(data, piece)
	src := newMemory()
	src.put(key, data)
	o := anyOrder
	o.Chunks = []int{1, 2, 3, 7, 20, 21, 39}
	d := originOf(artifacts.Trust{}, src).Open(t.Context(), a, o)
	for _, i := range o.Chunks {
		f, err := d.Next(t.Context())
		if err != nil || f.At != int64(i*piece) || artifacts.Sum(f.Data) != a.Chunks[i].SHA256 {
			t.Fatalf("%d bytes at %d, %v; want chunk %d", len(f.Data), f.At, err, i)
		}
		f.Release()
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
