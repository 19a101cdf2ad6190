package fetch_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/fetch"
)

// All connections together keep to the rate, however many there are and however
// fast the source is, and none is taken for dead because it waits.
func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		size, chunk int
		rate        int64
		most        int // requests
	}{
		"a cap in use":                 {1 << 20, 32 << 10, 128 << 10, 16},
		"without chunks":               {1 << 20, 0, 128 << 10, 16},
		"so low that all seem to hang": {64 << 10, 4 << 10, 1 << 10, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := noise(41, c.size)
				src := newMemory()
				src.put(key, data)
				src.body = func(r request, data []byte) io.Reader { return &heedful{r.ctx, bytes.NewReader(data)} }
				o := small
				o.Rate = c.rate
				start := time.Now()
				if _, err := download(t, src, artifactOf(data, c.chunk), data, o); err != nil {
					t.Fatal(err)
				}
				whole := time.Duration(c.size) * time.Second / time.Duration(c.rate)
				burst := 16 << 10 * time.Second / time.Duration(c.rate)
				if took := time.Since(start); took > whole || took < whole-burst {
					t.Errorf("took %s, want %s less a burst of %s", took, whole, burst)
				}
				if n := len(src.log()); n > c.most {
					t.Errorf("%d requests, want at most %d", n, c.most)
				}
			})
		})
	}
}

// heedful is a body that ends with its context, as one of net/http does.
type heedful struct {
	ctx context.Context
	io.Reader
}

func (h *heedful) Read(p []byte) (int, error) {
	if h.ctx.Err() != nil {
		return 0, h.ctx.Err()
	}
	return h.Reader.Read(p)
}

func TestNoPaceNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(42, 1<<20)
		src := newMemory()
		src.put(key, data)
		start := time.Now()
		if _, err := download(t, src, artifactOf(data, 0), data, small); err != nil || time.Since(start) != 0 {
			t.Errorf("took %s (%v), want no time", time.Since(start), err)
		}
	})
}

// A cap asks for no more connections than it needs.
func TestPaceTakesFewConnections(t *testing.T) {
	for rate, want := range map[int64]int{64 << 10: 2, 20 << 20: 3, 0: 8} {
		synctest.Test(t, func(t *testing.T) {
			data := noise(43, 1<<20)
			src := newMemory()
			src.put(key, data)
			src.body = func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} }
			d := originOf(artifacts.Trust{}, src).Open(t.Context(), artifactOf(data, 0), fetch.Options{Workers: 8, SlotBytes: 64 << 10, Rate: rate})
			synctest.Wait()
			if got := len(src.log()); got != want {
				t.Errorf("%d bytes a second over %d connections, want %d", rate, got, want)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A dead connection is noticed with a rate limit, too.
func TestPaceDoesNotHideAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(44, 64<<10)
		src := newMemory()
		src.put(key, data)
		src.body = onceFrom(0, func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} })
		o := small
		o.Rate = 64 << 10
		start := time.Now()
		if _, err := download(t, src, artifactOf(data, 0), data, o); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 13*time.Second {
			t.Errorf("took %s, want the 10 s after which a body is cut and a second for the rest", took)
		}
	})
}
