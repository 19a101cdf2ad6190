package fetch_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/fetch"
)

// mirrored is a second source of the same bytes under an ETag of its own.
func mirrored(data []byte) *memory {
	m := newMemory()
	m.put(key, data)
	m.lie, m.deaf = func(o *bucket.Object) { o.ETag = "of-the-mirror" }, true
	return m
}

// A source that gives up in the middle is followed by the next: only what is
// missing is asked of it, pinned to its own object.
func TestMirrorGoesOn(t *testing.T) {
	const size, part = 256 << 10, 64 << 10
	data := noise(31, size)
	for name, spoil := range map[string]func(*memory){
		"gives up from the start": func(m *memory) { m.fail = always(errReset) },
		"is not there":            func(m *memory) { delete(m.objects, key) },
		"gives up later": func(m *memory) {
			m.fail = func(r request) error {
				if r.Offset >= 2*part {
					return errReset
				}
				return nil
			}
		},
		"bodies break off for ever": func(m *memory) {
			m.body = func(r request, data []byte) io.Reader { return cut(data, 10) }
		},
		"stalls for ever": func(m *memory) {
			m.body = func(r request, data []byte) io.Reader {
				if r.Offset >= part {
					return &trickle{r.ctx, data}
				}
				return cut(data, len(data))
			}
		},
	} {
		for _, chunk := range []int{0, 32 << 10} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					first, second := newMemory(), mirrored(data)
					first.put(key, data)
					spoil(first)
					o := small
					o.Mirrors = []bucket.Reader{second}
					if _, err := download(t, first, artifactOf(data, chunk), data, o); err != nil {
						t.Fatal(err)
					}
					if second.asked() == 0 || second.asked() > size {
						t.Errorf("asked %d bytes of the mirror, want what was missing", second.asked())
					}
					for _, r := range second.log() {
						if r.ETag != "" && r.ETag != "of-the-mirror" {
							t.Errorf("the mirror was asked for %q, which is not its own", r.ETag)
						}
					}
				})
			})
		}
	}
}

func TestMirrorsThatAllGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(32, 100<<10)
		last := errors.New("the last one's reason")
		first, second, third := newMemory(), newMemory(), newMemory()
		first.fail, second.fail, third.fail = always(errReset), always(errReset), always(last)
		o := small
		o.Mirrors = []bucket.Reader{second, third}
		_, err := download(t, first, artifactOf(data, 0), data, o)
		if !errors.Is(err, fetch.ErrTransport) || !errors.Is(err, last) {
			t.Errorf("got %v, want ErrTransport for the last one's reason", err)
		}
	})
}

// Bytes that are not the signed ones are nobody's to repair.
func TestMirrorDoesNotHideAnAlteredObject(t *testing.T) {
	data := noise(33, 100<<10)
	first, second := newMemory(), mirrored(data)
	first.put(key, flip(data, 5))
	o := small
	o.Mirrors = []bucket.Reader{second}
	for _, chunk := range []int{0, 32 << 10} {
		if _, err := download(t, first, artifactOf(data, chunk), data, o); !errors.Is(err, artifacts.ErrIntegrity) {
			t.Errorf("got %v, want ErrIntegrity", err)
		}
	}
}

// silent never begins an answer.
type silent struct{ asked int }

func (s *silent) Get(ctx context.Context, _ string, _ bucket.Range) (io.ReadCloser, bucket.Object, error) {
	s.asked++
	<-ctx.Done()
	return nil, bucket.Object{}, ctx.Err()
}

func TestHurriedSourceIsLeftSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, _, err := fetch.Hurried(&silent{}).Get(t.Context(), key, bucket.Range{})
		if !errors.Is(err, fetch.ErrHurried) || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %s, want ErrHurried after 5s", err, time.Since(start))
		}
	})
}

// Hurrying is about the beginning of an answer: a body may take its time, and
// an error that came in time is handed on.
func TestHurriedSourceThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newMemory()
		src.put(key, []byte("ten bytes."))
		src.body = func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} }
		body, _, err := fetch.Hurried(src).Get(t.Context(), key, bucket.Range{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != "ten bytes." {
			t.Errorf("got %q, %v", got, err)
		}
		if err := errors.Join(body.Close(), src.log()[0].ctx.Err()); !errors.Is(err, context.Canceled) {
			t.Errorf("a closed body: %v, want its context to have ended", err)
		}
		if _, _, err := fetch.Hurried(newMemory()).Get(t.Context(), key, bucket.Range{}); !errors.Is(err, bucket.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

// A source that begins its answers and never ends them is left as soon, be it
// asked for a document or for an artifact.
func TestHurriedSourceWhoseBodiesStall(t *testing.T) {
	const most = 2*10*time.Second + time.Second // two stalls and the pause between
	stalling := func(data []byte) *memory {
		m := newMemory()
		m.put(key, data)
		m.body = func(r request, data []byte) io.Reader { return &trickle{r.ctx, data} }
		return m
	}
	data := noise(34, 100<<10)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		blob := artifacts.Blob{Key: key, Size: int64(len(data)), SHA256: artifacts.Sum(data)}
		_, err := fetch.Blob(t.Context(), fetch.Hurried(stalling(data)), blob)
		if !errors.Is(err, fetch.ErrHurried) || !errors.Is(err, fetch.ErrTransport) || time.Since(start) > most {
			t.Errorf("got %v after %s, want ErrHurried within %s", err, time.Since(start), most)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		start, o := time.Now(), small
		o.Mirrors = []bucket.Reader{mirrored(data)}
		if _, err := download(t, fetch.Hurried(stalling(data)), artifactOf(data, 0), data, o); err != nil || time.Since(start) > most {
			t.Errorf("got %v after %s, want the mirror's bytes within %s", err, time.Since(start), most)
		}
	})
}

func TestHurriedSourceOfSomebodyWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := fetch.Hurried(&silent{}).Get(ctx, key, bucket.Range{}); errors.Is(err, fetch.ErrHurried) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's own end", err)
		}
	})
}
